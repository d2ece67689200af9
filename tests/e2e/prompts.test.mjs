// Prompt files in VS Code: what can be done with the prompt at the cursor.
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { Editor, eventually } from "./harness/editor.mjs";

const DOCUMENT = "max_tokens: 3\ntemperature: 0\nThe symbol of gold is\n---\nmax_tokens: 3\ntemperature: 0\nThe symbol of iron is\n";
const SECOND = 7; // the line of its text
const LISTED_MS = 60_000;
let editor;

before(async () => {
  editor = await Editor.start({
    prepare: (fresh) => writeFileSync(join(fresh.workspace, "metals.prompt"), DOCUMENT),
  });
  await editor.showTraces();
  await editor.openFile("metals.prompt");
  await editor.page.locator(".codelens-decoration", { hasText: "Capture" }).first().waitFor({ timeout: LISTED_MS });
});
after(() => editor?.close());

async function goToLine(line) {
  await editor.page.keyboard.press("Control+G");
  await editor.answer(`:${line}`);
}

const prompts = () => (editor.nanoscope("list")?.traces ?? []).map(({ prompt }) => prompt);

test("the button over the file captures the prompt at the cursor", async () => {
  await goToLine(SECOND);
  await editor.page.locator('.editor-actions a[aria-label^="Capture Prompt at Cursor"]').click();
  await eventually("The trace", () => prompts().length === 1, LISTED_MS);
  assert.deepEqual(prompts(), ["The symbol of iron is"]);
});

test("so does Ctrl+. there", async () => {
  await editor.openFile("metals.prompt");
  await goToLine(3);
  await editor.page.keyboard.press("Control+.");
  const row = editor.page.locator(".action-widget .monaco-list-row.focused", { hasText: "Capture" });
  await row.waitFor();
  await editor.page.keyboard.press("Enter");
  await eventually("The trace", () => prompts().length === 2, LISTED_MS);
  assert.equal(prompts()[0], "The symbol of gold is");
});
