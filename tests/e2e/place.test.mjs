// One place for a trace: a tab that is used again, its header and parts, what is remembered, keys from trace to trace.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { Editor, eventually, isInSight } from "./harness/editor.mjs";
import { drawnHead } from "./harness/matrix.mjs";

const METALS = ["gold", "silver", "iron"];
const PAGE = ".trace .matrix[data-complete=true]";
let editor;

before(async () => {
  editor = await Editor.start({
    prepare: (fresh) => {
      writeFileSync(join(fresh.workspace, "metals.prompt"), "The symbol of copper is\n");
      for (const metal of METALS) fresh.capture(`The symbol of ${metal} is`, "--max-tokens", "4");
      fresh.capture("apple, river, stone, apple, river,", "--max-tokens", "64", "--format", "safetensors");
    },
  });
  await editor.showTraces();
});
after(() => editor?.close());

const tabs = () => editor.page.locator(".tabs-container .tab").allInnerTexts();
const row = (text) => editor.rows().filter({ hasText: text }).first();

async function shown(prompt) {
  return eventually(`The page of ${prompt}`, async () => {
    for (const frame of editor.page.frames()) {
      const found = frame.locator(".trace .what", { hasText: prompt }).first();
      if ((await found.isVisible().catch(() => false)) && (await isInSight(frame))) return frame;
    }
    return null;
  });
}

test("a click shows a trace in a tab with its prompt's name; the next one takes its place", async () => {
  for (const metal of METALS) {
    await row(metal).click();
    await drawnHead(await shown(`The symbol of ${metal} is`));
  }
  assert.deepEqual(await tabs(), ["The symbol of iron is"]);
  const frame = await shown("iron");
  const header = await frame.locator(".trace-header").innerText();
  for (const words of ["→ Fe", "demo", "T 0", "attention of 4 layers"]) assert.ok(header.includes(words), header);
  await editor.screenshot("place");
});

test("a double click keeps the tab; the next trace gets another", async () => {
  await row("gold").dblclick();
  await shown("gold");
  await row("silver").click();
  await shown("silver");
  assert.deepEqual((await tabs()).sort(), ["The symbol of gold is", "The symbol of silver is"]);
});

test("back in a tab, all is as it was left: head, token, part, scroll, without loading", async () => {
  await row("apple").click();
  const frame = await shown("apple");
  await drawnHead(frame);
  await frame.locator('.head[data-layer="2"][data-head="1"]').click();
  await drawnHead(frame, "2.1");
  await frame.locator(".attention .token").nth(5).click();
  await frame.getByRole("tab", { name: "Layers" }).click();
  await editor.page.setViewportSize({ width: 1440, height: 500 }); // so that there is something to scroll
  const isScrolled = () => {
    window.scrollTo(0, 40);
    return window.scrollY === 40;
  };
  await eventually("A page to scroll", () => frame.evaluate(isScrolled)); // which the lower window makes it, soon
  await frame.evaluate(() => {
    window.mark = "the same page";
  });
  await row("gold").click(); // the kept tab
  await shown("gold");
  await row("apple").click();
  const again = await shown("apple");
  assert.equal(await again.evaluate(() => window.mark), "the same page");
  assert.equal(await again.getByRole("tab", { name: "Layers" }).getAttribute("aria-selected"), "true");
  await eventually("The scroll", () => again.evaluate(() => window.scrollY === 40));
  await again.getByRole("tab", { name: "Attention" }).click();
  await again.locator(".attention .token.selected[data-position='5']").waitFor();
  assert.deepEqual(await drawnHead(again), [2, 1]);
  await editor.page.setViewportSize({ width: 1440, height: 1000 });
});

test("t and T lead to the trace below and above in the tree", async () => {
  await row("silver").click();
  await (await shown("silver")).locator(".panel.main .matrix-window").focus();
  const order = (await editor.rows().allInnerTexts()).map((text) => METALS.find((metal) => text.includes(metal)));
  const below = order[order.indexOf("silver") + 1];
  await editor.page.keyboard.press("t");
  await shown(below);
  await editor.page.keyboard.press("Shift+T");
  await shown("silver");
});

test("after the window is loaded again, the tabs are there with their traces and parts", async () => {
  const frame = await shown("silver");
  await frame.getByRole("tab", { name: "Layers" }).click();
  const before = await tabs();
  await editor.reload();
  const again = await shown("silver");
  await again.locator("[role=tab][aria-selected=true]", { hasText: "Layers" }).waitFor();
  assert.deepEqual(await tabs(), before);
});

test("a capture leaves the side bar and the text as they are, and shows its trace beside", async () => {
  await editor.command("View: Close All Editors");
  await editor.command("View: Show Explorer");
  await editor.openFile("metals.prompt");
  await editor.page.locator(".codelens-decoration a", { hasText: "Capture" }).first().click();
  const frame = await shown("The symbol of copper is");
  await drawnHead(frame);
  await editor.frame(PAGE);
  await editor.screenshot("capture-beside");
  assert.match(await editor.page.locator(".sidebar .title-label").innerText(), /explorer/i);
  assert.ok(await editor.page.locator(".view-line", { hasText: "copper" }).first().isVisible());
});
