// The tab Attribution: opened by mouse and by key, its sum against the daemon's own, from a bar to the head's matrix.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { eventually } from "./harness/editor.mjs";
import { drawnHead } from "./harness/matrix.mjs";
import { opened, seriousFindings } from "./harness/why.mjs";

let editor;
let frame;
let id;

before(async () => {
  ({ editor, frame, id } = await opened());
});
after(() => editor?.close());

/** What stands at a bar's end, as a number. */
function numberIn(text) {
  return Number(text.replace("−", "-").replace("+", "").replaceAll(",", ""));
}

test("the bars sum to the daemon's total, with and without another token's", async () => {
  await frame.locator("#tab-attribution").click();
  const sum = frame.locator(".bar-row.total .bar-value");
  await sum.waitFor();
  const { total } = editor.nanoscope("attribute", id);
  assert.ok(Math.abs(numberIn(await sum.innerText()) - total) <= 0.005 * Math.abs(total));
  const values = await frame.locator('[aria-label="The sum"] .bar-row:not(.total) .bar-value').allInnerTexts();
  const added = values.map(numberIn).reduce((all, value) => all + value, 0);
  assert.ok(Math.abs(added - total) < 0.01 * values.length, `${added}, not ${total}`);
  await frame.getByLabel("Minus the logit of a text that is one token").fill(" N");
  await editor.page.keyboard.press("Enter");
  await frame.locator(".attribution-title", { hasText: "rather than “N”" }).waitFor();
  const difference = editor.nanoscope("attribute", id, "--against", " N").total;
  assert.ok(Math.abs(numberIn(await sum.innerText()) - difference) <= 0.005 * Math.abs(difference));
});

test("the choice says whose logit is taken off: a word's, a likely token's, nobody's", async () => {
  const choice = frame.getByLabel("Minus the logit of", { exact: true });
  const word = frame.getByLabel("Minus the logit of a text that is one token");
  const isSaid = (text) => eventually(text, async () => (await choice.locator("option:checked").innerText()) === text);
  await isSaid("minus a word:");
  const likely = choice.locator('option:not([value="nobody"], [value="word"])').first();
  await choice.selectOption(await likely.getAttribute("value"));
  await isSaid(await likely.innerText());
  assert.equal(await word.inputValue(), "");
  await choice.selectOption({ label: "minus a word:" });
  assert.equal(await word.evaluate((field) => field === document.activeElement), true);
  await editor.page.keyboard.type(" S");
  await editor.page.keyboard.press("Enter");
  await frame.locator(".attribution-title", { hasText: "rather than “S”" }).waitFor();
  await isSaid("minus a word:");
  assert.equal(await word.inputValue(), " S");
  await choice.selectOption({ label: "minus nothing" });
  await frame.locator(".attribution-title", { hasText: "rather than" }).waitFor({ state: "detached" });
  await isSaid("minus nothing");
  assert.equal(await word.inputValue(), "");
});

test("axe-core has no serious findings", async () => {
  assert.deepEqual(await seriousFindings(frame, "attribution"), []);
  await editor.screenshot("attribution");
});

test("a bar leads to the head's matrix, by mouse", async () => {
  const bar = frame.locator('[aria-label="The strongest heads"] .bar-row').first();
  const name = await bar.getAttribute("data-name");
  await bar.click();
  const [layer, head] = await drawnHead(frame, name.replace("L", "").replace("H", "."));
  assert.equal(`L${layer}H${head}`, name);
  assert.equal(await frame.locator("#tab-attention").getAttribute("aria-selected"), "true");
});

test("by keys alone: along the tabs, over the grid, and to the matrix", async () => {
  await frame.locator("#tab-attention").focus();
  await editor.page.keyboard.press("ArrowLeft"); // the last tab comes before the first
  await frame.locator('#tab-attribution[aria-selected="true"]').waitFor();
  await frame.locator('.written .head[tabindex="0"]').focus();
  for (const key of ["Control+Home", "ArrowDown", "ArrowRight"]) {
    await editor.page.keyboard.press(key);
  }
  await eventually(
    "The head L1H1",
    async () => (await frame.locator('.written .head[aria-selected="true"]').getAttribute("data-edit")) === "L1H1",
  );
  await frame.locator(".detail h2", { hasText: "L1H1" }).waitFor();
  await editor.page.keyboard.press("Enter");
  assert.deepEqual(await drawnHead(frame, "1.1"), [1, 1]);
});
