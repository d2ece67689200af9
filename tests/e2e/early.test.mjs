// A window that is there before the daemon has answered: a trace file's tab that VS Code opens again joins the others late.
import assert from "node:assert/strict";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { Editor, eventually, PYTHON } from "./harness/editor.mjs";
import { drawnHead } from "./harness/matrix.mjs";

const LATE_S = 5; // longer than a trace file's tab waits to hear which folder is the session's
const folder = mkdtempSync(join(tmpdir(), "nanoscope-early-"));
const slowly = join(folder, "slowly");
const python = join(folder, "python");
let editor;
let id;

before(async () => {
  writeFileSync(python, `#!/bin/sh\n[ ! -e "${slowly}" ] || sleep ${LATE_S}\nexec "${PYTHON}" "$@"\n`);
  chmodSync(python, 0o755);
  editor = await Editor.start({
    python,
    prepare: (fresh) => {
      id = fresh.capture("apple, river, stone, apple, river,", "--max-tokens", "4", "--format", "safetensors");
    },
  });
});
after(async () => {
  await editor?.close();
  rmSync(folder, { recursive: true, force: true });
});

const page = () => editor.frame(`.trace[data-trace="${id}"] .matrix[data-complete=true]`);
const summary = () => editor.frame(".summary .head");
const head = (frame, layer, number) => frame.locator(`.head[data-layer="${layer}"][data-head="${number}"]`);
const chosen = (frame) =>
  frame.locator(".head[aria-selected=true]").evaluate(({ dataset }) => `${dataset.layer}.${dataset.head}`);

test("a trace file's tab that was there at the start shares its selection with the side bar", async () => {
  await editor.showTraces();
  await editor.openFile(`${id}.safetensors`);
  const frame = await page();
  await drawnHead(frame);
  await head(frame, 2, 1).click();
  await eventually("L2H1 in the side bar", async () => (await chosen(await summary())) === "2.1");

  writeFileSync(slowly, "");
  await editor.reload();
  const again = await page();
  await eventually("L2H1 in the tab again", async () => (await chosen(again)) === "2.1");
  await editor.showTraces();
  await head(again, 1, 3).click();
  await eventually("L1H3 in the side bar", async () => (await chosen(await summary())) === "1.3");
  await head(await summary(), 0, 2).click();
  await eventually("L0H2 in the tab", async () => (await chosen(again)) === "0.2");
  assert.deepEqual(await drawnHead(again, "0.2"), [0, 2]);
});
