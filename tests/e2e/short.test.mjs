// The short form: install, capture, read a head, and see the numbers that the file has.
import assert from "node:assert/strict";
import { copyFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { Editor, eventually } from "./harness/editor.mjs";
import { assertHovers, coloursOf, drawnHead } from "./harness/matrix.mjs";

const PROMPT = "The capital of France is";
const LIVE_MS = 5000; // the daemon tells within one second; the rest is the browser's, on a machine that runs other tests
let editor;

before(async () => {
  editor = await Editor.start();
});
after(() => editor?.close());

test("a prompt from the palette becomes a row in the tree", async () => {
  await editor.showTraces();
  await editor.command("nanoscope: Capture Trace...");
  await editor.answer(PROMPT);
  const row = editor.rows().filter({ hasText: PROMPT }).first();
  await row.waitFor({ timeout: 90_000 }); // the model is loaded first
  assert.match(await row.innerText(), /Paris/);
  await editor.screenshot("captured");
});

test("the matrix shows the chosen head, and its values are those of the file", async () => {
  const frame = await editor.frame(".matrix[data-complete=true]");
  await drawnHead(frame);
  assert.ok((await coloursOf(frame)) > 8, "the matrix is blank");
  const { traces } = editor.nanoscope("list");
  await assertHovers(editor, frame, traces[0].trace_id, 8);
  await editor.screenshot("attention");
});

test("a file that is copied into the folder shows at once", async () => {
  const before = await editor.rows().count();
  const [name] = readdirSync(editor.traces).filter((file) => file.endsWith(".json"));
  copyFileSync(join(editor.traces, name), join(editor.traces, "trace_20200101_000000_000000.json"));
  await eventually("The copied trace", async () => (await editor.rows().count()) > before, LIVE_MS);
});

test("a daemon that is killed comes back by itself, with nothing lost", async () => {
  const before = await editor.rows().count();
  assert.ok(before > 0);
  const killed = editor.daemonPid();
  process.kill(killed, "SIGKILL");
  await eventually("Another daemon", () => ![null, killed].includes(editor.daemonPid()));
  await eventually("The status", async () => /\d trace/.test(await editor.status()));
  await eventually("The rows", async () => (await editor.rows().count()) === before);
  const frame = await editor.frame(".matrix[data-complete=true]");
  const other = frame.locator(".head[aria-selected=false]").last(); // one that only the new daemon can give
  const name = await other.evaluate(({ dataset }) => `${dataset.layer}.${dataset.head}`);
  await other.click();
  await drawnHead(frame, name);
});
