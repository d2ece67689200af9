// Switch off: heads by key and by menu, the run, the comparison, and the child in the tree.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { eventually } from "./harness/editor.mjs";
import { opened, PROMPT } from "./harness/why.mjs";

let editor;
let frame;
let id;

before(async () => {
  ({ editor, frame, id } = await opened());
});
after(() => editor?.close());

test("x and the context menu switch off what they are on, and on again", async () => {
  const bar = frame.locator(".edit-words");
  await frame.locator('.overview .head[data-edit="L3H2"]').click();
  await editor.page.keyboard.press("x");
  await frame.locator(".edit-bar", { hasText: "1 head off" }).waitFor();
  assert.equal(await frame.locator(".head-name.off").innerText(), "L3H2");
  await frame.locator("#tab-attribution").click();
  const mlp = frame.locator('.bar-row[data-edit="L3 MLP"]');
  await mlp.click({ button: "right" });
  await frame.getByRole("menuitem", { name: "Switch off L3 MLP (x)" }).click();
  await eventually("The MLP", async () => (await bar.innerText()) === "1 head and 1 MLP off");
  assert.equal(await frame.locator('.written .head.off[data-edit="L3H2"]').count(), 1);
  await mlp.focus();
  await editor.page.keyboard.press("x");
  await eventually("The MLP is on", async () => (await bar.innerText()) === "1 head off");
  assert.equal(await frame.locator(".bar-row.off").count(), 1); // the head's own bar
  await editor.screenshot("switched-off");
});

test("Run makes a child, and compares the two", async () => {
  await frame.locator(".edit-bar").getByRole("button", { name: "Run" }).click();
  await editor.frame("main:has(.compared-trace)");
  const { traces } = editor.nanoscope("list");
  const child = traces.find(({ parent }) => parent === id);
  assert.equal(child.changed, "without L3H2");
  assert.equal(child.prompt, PROMPT);
});

test("the tree has the child under its parent, in words, and its page says that it is edited", async () => {
  await editor.showTraces();
  await editor.rows().locator(".monaco-tl-twistie.collapsible").last().click(); // it had no children when it came
  const row = editor.rows().filter({ hasText: "without L3H2" }).first();
  await row.waitFor();
  assert.equal(await row.getAttribute("aria-level"), "3");
  await row.click();
  const page = await editor.frame('.trace-header:has-text("edited: without L3H2")');
  assert.equal(await page.locator(".edit-bar").isVisible(), false);
});
