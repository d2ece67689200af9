// Rows of the tree that are clicked while traces are written: no click is lost.
import assert from "node:assert/strict";
import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { Editor, eventually, isInSight } from "./harness/editor.mjs";

const METALS = ["gold", "silver"];
const CLICKS = 40;
const WRITE_MS = 300;
let editor;
let busy;

before(async () => {
  editor = await Editor.start({
    prepare: (fresh) => {
      busy = fresh.capture("The symbol of iron is", "--max-tokens", "2", "--format", "json");
      for (const metal of METALS) fresh.capture(`The symbol of ${metal} is`, "--max-tokens", "2");
    },
  });
  await editor.showTraces();
});
after(() => editor?.close());

const row = (text) => editor.rows().filter({ hasText: text }).first();

async function isShown(prompt) {
  for (const frame of editor.page.frames()) {
    const found = frame.locator(".trace .what", { hasText: prompt }).first();
    if ((await found.isVisible().catch(() => false)) && (await isInSight(frame))) return true;
  }
  return false;
}

/** One trace of the folder, written again and again, each time with other words. */
function keepWriting() {
  const file = join(editor.traces, `${busy}.json`);
  const document = JSON.parse(readFileSync(file, "utf8"));
  let count = 0;
  return setInterval(() => {
    count += 1;
    writeFileSync(`${file}.new`, JSON.stringify({ ...document, response: `written ${count} times` }));
    renameSync(`${file}.new`, file);
  }, WRITE_MS);
}

test("each click on a row shows its trace, however often the tree is drawn anew meanwhile", async () => {
  await row("gold").waitFor();
  const writing = keepWriting();
  try {
    await row("written").waitFor();
    for (let count = 0; count < CLICKS; count++) {
      const metal = METALS[count % 2];
      await row(metal).click();
      await eventually(`The page of ${metal}, click ${count}`, () => isShown(`The symbol of ${metal} is`), 10_000);
    }
  } finally {
    clearInterval(writing);
  }
  assert.deepEqual(await editor.page.locator(".notification-toast").allInnerTexts(), []);
});
