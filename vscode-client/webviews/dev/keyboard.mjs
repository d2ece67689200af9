// A walk through the views by keyboard alone: every stop is reached, none is a trap, values can be read.
import assert from "node:assert/strict";
import { drawn, start } from "./browser.mjs";

const focused = (frame) =>
  frame.evaluate(() => {
    const { activeElement: at } = document;
    return at === null || at === document.body ? null : (at.getAttribute("aria-label") ?? at.textContent.trim());
  });
const said = async (frame, pattern) => {
  await frame.waitForFunction(
    (source) => new RegExp(source).test(document.querySelector("[aria-live]").textContent),
    pattern.source,
  );
  return frame.textContent("[aria-live]");
};

/** Names of what Tab stops at, until it leaves the view. */
async function stops(page, frame) {
  const seen = [];
  for (let i = 0; i < 60; i++) {
    await page.keyboard.press("Tab");
    const name = await focused(frame);
    if (name === null) return seen;
    seen.push(name);
  }
  throw new Error(`Tab never leaves: ${seen.slice(-4).join(", ")}`);
}

const harness = await start();

{
  const { page, frame, problems } = await harness.open({ trace: harness.nearest(52), width: 320 });
  await drawn(frame);
  console.log("attention:", (await stops(page, frame)).join(" | "));

  await frame.focus('.heads [tabindex="0"]');
  for (const key of ["ArrowDown", "ArrowDown", "ArrowDown", "ArrowRight"]) await page.keyboard.press(key);
  await drawn(frame, "3.1");
  console.log("head:", await said(frame, /L3H1/));

  await frame.focus(".matrix-window");
  await page.keyboard.press("Control+End");
  await page.keyboard.press("ArrowUp");
  await page.keyboard.press("Home");
  const told = await said(frame, / to .* 0: \d/);
  const value = await frame.getAttribute(".readout", "data-value");
  console.log("cell:", told, value);
  assert.ok(told.endsWith(Number(value).toPrecision(3)) || Number(value) < 0.001);
  await page.keyboard.press("Enter");
  await frame.waitForSelector(".token.selected");
  await page.keyboard.press("+");
  await page.keyboard.press("0");
  await page.keyboard.press("Escape");
  await frame.waitForSelector(".token.selected", { state: "detached" });

  await frame.focus(".stepper input");
  await page.keyboard.press("Home");
  assert.match(await frame.getAttribute(".stepper input", "aria-valuetext"), /^prompt/);
  await page.keyboard.press("End");

  await frame.focus('.coloured-text [tabindex="0"]');
  await page.keyboard.press("End");
  await page.keyboard.press("ArrowLeft");
  await page.keyboard.press("Enter");
  await frame.waitForSelector(".row-table tfoot td");
  console.log("row:", (await frame.textContent(".row-table caption")).trim());
  assert.deepEqual(problems, []);
  await page.close();
}

{
  const { page, frame, problems } = await harness.open({ trace: harness.nearest(52), width: 700 });
  await frame.click("#tab-layers");
  await frame.waitForSelector(".chart canvas");
  console.log("layers:", (await stops(page, frame)).join(" | "));
  await frame.focus('.surprisal [tabindex="0"]');
  await page.keyboard.press("ArrowRight");
  await frame.waitForSelector(".tip:not([hidden])");
  assert.equal(await frame.evaluate(() => document.activeElement.getAttribute("aria-describedby")), "token-tip");
  console.log("tip:", (await frame.textContent(".tip")).slice(0, 80));
  await page.keyboard.press("Escape");
  await frame.waitForSelector(".tip", { state: "hidden" });
  await frame.focus("details > summary");
  await page.keyboard.press("Enter");
  await frame.waitForSelector("details[open] td");
  await frame.focus(".head-button");
  await page.keyboard.press("Enter");
  await frame.waitForSelector('.head-button[aria-pressed="true"]:focus');
  assert.deepEqual(problems, []);
  await page.close();
}
await harness.close();
