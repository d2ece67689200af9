// The tab Lens: by mouse and by keys, its numbers against the daemon's own.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { eventually } from "./harness/editor.mjs";
import { opened, seriousFindings } from "./harness/why.mjs";

const KNOWN = ".lens-cell:not(.unknown)";
let editor;
let frame;
let id;
let points;

before(async () => {
  ({ editor, frame, id } = await opened());
  ({ points } = editor.nanoscope("lens", id));
});
after(() => editor?.close());

async function chosen() {
  const { row, position } = await frame
    .locator('.lens-cell[aria-selected="true"]')
    .evaluate(({ dataset }) => ({ ...dataset }));
  return [Number(row), Number(position)];
}

test("each cell shows the likeliest token, and the chosen one its ten", async () => {
  await frame.locator("#tab-lens").click();
  await frame.locator(KNOWN).first().waitFor();
  assert.equal(await frame.locator(".lens-grid tbody tr").count(), points.length);
  await frame.locator('.lens-cell[data-row="0"][data-position="3"]').click();
  assert.deepEqual(await chosen(), [0, 3]);
  const belief = points[0].positions.find(({ position }) => position === 3);
  const shares = belief.top.map(({ probability }) => probability);
  const told = await frame.locator(".lens-top li").allInnerTexts();
  assert.equal(told.length, 10);
  for (const [place, share] of shares.entries()) {
    const percent = Number.parseFloat(/[\d.]+(?=%)/.exec(told[place])[0]);
    assert.ok(Math.abs(percent - 100 * share) < 0.51, `${told[place]}, not ${100 * share}%`);
  }
});

test("arrow keys move the cell, one at a time, and the selection is shared", async () => {
  await frame.locator('.lens-cell[data-row="3"][data-position="3"]').click();
  for (const key of ["ArrowDown", "ArrowDown", "ArrowRight", "ArrowRight", "ArrowUp"]) {
    await editor.page.keyboard.press(key);
  }
  await eventually("The cell", async () => (await chosen()).join() === "4,5");
  await new Promise((done) => setTimeout(done, 400)); // in which a late echo would have come
  assert.deepEqual(await chosen(), [4, 5]);
  const { layer } = points[4];
  await frame.locator("#tab-attention").click();
  assert.equal(await frame.locator('.overview .head[aria-selected="true"]').getAttribute("data-layer"), String(layer));
  await frame.locator("#tab-lens").click();
});

test("a word that is followed colours all cells by its probability", async () => {
  await frame.getByLabel("Follow a word: a text that is one token").fill(" P");
  await editor.page.keyboard.press("Enter");
  await frame.locator(".lens-followed", { hasText: "Follows ·P everywhere" }).waitFor();
  await frame.locator(KNOWN).first().waitFor();
  const colours = await frame
    .locator(".lens-cell")
    .evaluateAll((cells) => new Set(cells.map((cell) => cell.style.backgroundColor)).size);
  assert.ok(colours > 4, `${colours} colours`);
  await frame.getByRole("button", { name: "Follow the written token again" }).click();
});

test("axe-core has no serious findings", async () => {
  await frame.locator(KNOWN).first().waitFor();
  assert.deepEqual(await seriousFindings(frame, "lens"), []);
  await editor.screenshot("lens");
});
