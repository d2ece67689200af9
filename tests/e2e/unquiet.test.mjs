// Traces that change while they are looked at, and a window whose editor is far away.
import assert from "node:assert/strict";
import { copyFileSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { Editor, eventually } from "./harness/editor.mjs";
import { assertHovers, drawnHead } from "./harness/matrix.mjs";
import { headOf } from "./harness/reader.mjs";
import { slow } from "./harness/remote.mjs";

const GOLD = "The symbol of gold is";
const SILVER = "The symbol of silver is";
const LIST = "apple, river, stone, apple, river,";
const DELAY_MS = 300;
const PRESSES = 15;
const remote = { delay: 0 };
let editor;
const ids = {};

before(async () => {
  editor = await Editor.start({
    connect: (page) => slow(page, remote),
    prepare: (fresh) => {
      const captured = (prompt, format, count = "8") =>
        fresh.capture(prompt, "--max-tokens", count, "--format", format);
      ids.shown = captured(GOLD, "json");
      ids.list = captured(LIST, "safetensors", "24");
      ids.silver = captured(SILVER, "safetensors");
      ids.gold = captured(GOLD, "safetensors");
    },
  });
  await editor.showTraces();
});
after(() => editor?.close());

const fileOf = (id) => join(editor.traces, `${id}.json`);
const pageOf = (prompt) => editor.frame(`main:has(.what:has-text("${prompt}")) .matrix[data-complete=true]`);

/** Everything of the last test has come. */
async function far(run) {
  remote.delay = DELAY_MS;
  try {
    await run();
  } finally {
    remote.delay = 0;
  }
}

test("a trace that is written anew while it is looked at: its page has the new text and the new numbers", async () => {
  const other = editor.capture(LIST, "--max-tokens", "3", "--format", "json");
  await editor.openFile(`${ids.shown}.json`);
  const frame = await pageOf(GOLD);
  await frame.locator('.head[data-layer="2"][data-head="1"]').click();
  await drawnHead(frame, "2.1");
  await frame.locator(".attention .token").nth(2).click();
  const document = JSON.parse(readFileSync(fileOf(other), "utf8"));
  writeFileSync(fileOf(ids.shown), JSON.stringify({ ...document, trace_id: ids.shown }));
  const again = await pageOf(LIST);
  assert.deepEqual(await drawnHead(again), [2, 1]);
  await assertHovers(editor, again, ids.shown, 5);
  assert.equal(await again.locator(".attention .token").count(), document.data_info.num_tokens + 1);
  const facts = await again.locator(".header-facts").innerText();
  assert.match(facts, /\+ 3 tokens/);
  await editor.screenshot("rewritten");
});

test("a trace that is half written says so, and is there again once it is whole", async () => {
  const whole = readFileSync(fileOf(ids.shown));
  writeFileSync(fileOf(ids.shown), whole.subarray(0, 4000));
  const failed = await editor.frame("main:has(.trace) .notice:has(p.failed)");
  await failed.getByRole("button", { name: "Open as Text" }).waitFor();
  writeFileSync(fileOf(ids.shown), whole);
  const frame = await pageOf(LIST);
  assert.deepEqual(await drawnHead(frame), [2, 1]);
  await assertHovers(editor, frame, ids.shown, 3);
});

test("a trace of a comparing page that is written anew: it says so, and one click compares what is there now", async () => {
  copyFileSync(fileOf(ids.shown), fileOf("trace_20200101_000000_000000"));
  const file = fileOf("trace_20200101_000000_000000");
  const rename = (document, prompt) =>
    writeFileSync(file, JSON.stringify({ ...document, trace_id: "trace_20200101_000000_000000", prompt }));
  const document = JSON.parse(readFileSync(fileOf(ids.shown), "utf8"));
  rename(document, "The old prompt");
  await editor.rows().filter({ hasText: "The old prompt" }).first().click();
  await editor.rows().filter({ hasText: SILVER }).first().click({ modifiers: ["Control"] });
  await editor.command("nanoscope: Compare With...");
  const frame = await editor.frame("main:has(.pairs .pair):has-text('The old prompt')");
  rename(document, "The new prompt");
  await frame.locator(".compare-notice", { hasText: "was written anew" }).waitFor();
  await frame.getByRole("button", { name: "Compare Again" }).click();
  await editor.frame("main:has(.matrices[data-complete=true]):has-text('The new prompt')");
  assert.equal(await frame.locator(".compare-notice", { hasText: "was written anew" }).count(), 0);
});

test("far away: a row that is chosen beside another, before that is shown, stays chosen", async () => {
  const chosen = () => editor.page.locator(".monaco-list-row.selected", { hasText: "symbol" }).allInnerTexts();
  await editor.rows().filter({ hasText: "apple" }).first().click();
  await pageOf(LIST);
  await far(async () => {
    await editor.rows().filter({ hasText: SILVER }).first().click();
    await editor.rows().filter({ hasText: GOLD }).first().click({ modifiers: ["Control"] });
    await pageOf(SILVER);
    await new Promise((done) => setTimeout(done, 4 * DELAY_MS)); // what is revealed late would be by now
    assert.equal((await chosen()).length, 2);
  });
});

test("far away: the text's switch, its hovers and its rows are right, however soon the next one comes", async () => {
  await editor.command("View: Close All Editors");
  await editor.openFile(`${ids.list}.safetensors`);
  const frame = await pageOf(LIST);
  await drawnHead(frame);
  await far(async () => {
    const choose = (mode) => frame.locator(`input[name=text-mode][value=${mode}]`).check({ force: true });
    const token = (position) => frame.locator(`.coloured-text .token[data-position="${position}"]`);
    for (const mode of ["to", "surprisal", "from", "to", "from"]) await choose(mode);
    assert.ok(await frame.locator("input[value=from]").isChecked());
    await frame.locator('.head[data-layer="1"][data-head="3"]').click();
    await token(20).click();
    await token(12).click(); // the one that counts
    await drawnHead(frame, "1.3");
    const weights = headOf(editor.traces, ids.list, 1, 3);
    for (const [mode, position, wanted] of [
      ["from", 5, weights[12][5]],
      ["to", 20, weights[20][12]],
    ]) {
      await choose(mode);
      await token(position).hover();
      await frame.locator(".tip .tip-head", { hasText: new RegExp(`position ${position},`) }).waitFor();
      const line = frame.locator(".tip .tip-weight");
      await eventually(`${mode} ${position}`, async () => Number(await line.evaluate(({ dataset }) => dataset.value)) === wanted);
    }
  });
});

test("far away: fifteen presses on the comparing page are fifteen heads, and the numbers are those of the head", async () => {
  await editor.rows().filter({ hasText: SILVER }).first().click();
  await editor.rows().filter({ hasText: GOLD }).first().click({ modifiers: ["Control"] });
  await editor.command("nanoscope: Compare With...");
  const frame = await editor.frame("main:has(.matrices[data-complete=true]):has-text('gold')");
  await frame.locator('.divergence[data-layer="0"][data-head="0"]').click();
  const shown = () => frame.locator(".matrices").getAttribute("data-head");
  await far(async () => {
    for (const [key, end] of [
      ["h", "3.3"],
      ["Shift+H", "0.0"],
    ]) {
      await frame.locator('[data-matrix="A"] .pair-window').focus();
      for (let press = 0; press < PRESSES; press++) {
        await editor.page.keyboard.press(key);
        await new Promise((done) => setTimeout(done, 100));
      }
      await eventually(`L${end}`, async () => (await shown()) === end);
      await frame.locator(`.matrices[data-complete=true][data-head="${end}"]`).waitFor();
      await new Promise((done) => setTimeout(done, 4 * DELAY_MS)); // a late answer would have come
      assert.equal(await shown(), end);
      await editor.page.keyboard.press("Control+Home");
      await editor.page.keyboard.press("ArrowDown");
      const [layer, head] = end.split(".").map(Number);
      const title = await frame.locator(".side-name").first().getAttribute("aria-label");
      const weights = headOf(editor.traces, title.split(" ").at(-1), layer, head);
      const told = await eventually("The numbers", () =>
        frame.locator(".cell-readout").evaluate(({ dataset }) => dataset.a ?? null),
      );
      assert.equal(Number(told), weights[1][0]);
    }
  });
});
