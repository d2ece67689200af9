// Fork: an alternative by the mouse and by the keyboard, a text by f, the comparison, and the children in the tree.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { eventually } from "./harness/editor.mjs";
import { opened, PROMPT } from "./harness/why.mjs";

const COMPARED = "main:has(.compared-trace)";

let editor;
let frame;
let id;

before(async () => {
  ({ editor, frame, id } = await opened());
  await frame.locator("input[name=text-mode][value=surprisal]").check({ force: true });
});
after(() => editor?.close());

const token = (position) => frame.locator(`.coloured-text .token[data-position="${position}"]`);
const children = () => editor.nanoscope("list").traces.filter(({ parent }) => parent === id);
const first = () => frame.locator(".coloured-text .token.first-generated").getAttribute("data-position").then(Number);

/** The child that came last, once there are so many; its comparison is in front. */
async function child(count) {
  const found = await eventually(`Child ${count}`, () => children().length === count && children()[0], 60_000);
  await editor.frame(COMPARED);
  return found;
}

async function back() {
  await editor.page.locator(".tab", { hasText: PROMPT }).first().click();
  await frame.locator(".coloured-text").waitFor();
}

/** By keys, from the text's first token. */
async function walkTo(position) {
  await token(0).focus();
  await editor.page.keyboard.press("Home");
  for (let step = 0; step < position; step++) await editor.page.keyboard.press("ArrowRight");
}

test("the mouse on an alternative goes on from there, and compares the two", async () => {
  const position = await first();
  await token(position).hover();
  const offered = frame.locator(".tip .alternatives tr");
  await offered.first().waitFor();
  assert.equal(await offered.filter({ has: frame.locator("button.fork") }).count(), 4); // the fifth is what was written
  assert.equal(await frame.locator(".tip tr.chosen button").count(), 0);
  const button = frame.locator(".tip .alternatives button.fork").first();
  const written = (await button.innerText()).replace("·", " ");
  await editor.screenshot("fork");
  await button.click();
  const made = await child(1);
  assert.equal(made.position, position);
  assert.equal(made.prompt, PROMPT);
  assert.ok(made.response.startsWith(written), `${made.response} begins with ${written}`);
});

test("the keyboard reaches the alternatives from the token", async () => {
  await back();
  const position = (await first()) + 1;
  await walkTo(position);
  await frame.locator(".tip .tip-head", { hasText: `position ${position},` }).waitFor();
  await editor.page.keyboard.press("Tab");
  await eventually("The focus on an alternative", () =>
    frame.evaluate(() => document.activeElement.matches(".tip button.fork")),
  );
  await editor.page.keyboard.press("Escape");
  assert.equal(await token(position).evaluate((span) => span === document.activeElement), true);
  await frame.locator(".tip").waitFor({ state: "hidden" });
  await editor.page.keyboard.press("ArrowLeft");
  await editor.page.keyboard.press("ArrowRight");
  await editor.page.keyboard.press("Tab");
  await editor.page.keyboard.press("Enter");
  assert.equal((await child(2)).position, position);
});

test("f asks for a text, in the prompt too; the first token says why not", async () => {
  await back();
  await walkTo(0);
  await editor.page.keyboard.press("f");
  await editor.toast("Every text begins with this token").waitFor();
  await walkTo(4);
  await editor.page.keyboard.press("f");
  await editor.answer(" Norway is");
  const made = await child(3);
  assert.equal(made.position, 4);
  assert.equal(made.prompt, "The capital of Norway is");
});

test("the command forks at the token that is chosen", async () => {
  await back();
  const position = (await first()) + 1;
  await token(position).click();
  await frame.locator(`.token.selected[data-position="${position}"]`).waitFor();
  await editor.command("nanoscope: Fork Here...");
  await editor.answer("ortugal");
  const made = await child(4);
  assert.equal(made.position, position);
  assert.ok(made.response.startsWith(" Portugal"), made.response);
});

test("the tree has the children under their parent, by where they were forked", async () => {
  await editor.showTraces();
  const twistie = editor.rows().filter({ hasText: PROMPT }).locator(".monaco-tl-twistie.collapsible.collapsed");
  if ((await twistie.count()) > 0) await twistie.first().click(); // it had no children when it came
  const position = await first();
  for (const place of [position, position + 1]) {
    const row = editor
      .rows()
      .filter({ hasText: `forked at ${place}` })
      .first();
    await row.waitFor();
    assert.equal(await row.getAttribute("aria-level"), "3");
  }
});
