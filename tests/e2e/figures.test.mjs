// How large, how fast, how much memory: measured in the real editor, printed, and held against wide limits.
import assert from "node:assert/strict";
import { statSync } from "node:fs";
import { after, before, test } from "node:test";
import { Editor, eventually, vsix } from "./editor.mjs";
import { assertHovers, coloursOf, drawnHead } from "./matrix.mjs";
import { makeWideTrace } from "./reader.mjs";

const MATRIX = ".trace .matrix[data-complete=true]";
const LIST = "apple, river, stone, apple, river,";
const SIZES = [
  { name: "of 64 positions", category: "size 64", tokens: 44 },
  { name: "of 256 positions", category: "size 256", tokens: 236 },
  { name: "of 1,024 positions and 24 layers", category: "synthetic" },
];
const VSIX_BYTES = 500_000;
const OPENING_MS = 2000; // 200 where nothing else runs
const HEAD_MS = 2000;
const HEADS = 9;
const SWITCHES = 200;
const SETTLED = 40; // switches after which all that is kept is there
const GROWTH = 1.5;

let editor;

before(async () => {
  editor = await Editor.start({
    prepare: (fresh) => {
      for (const { category, tokens } of SIZES) {
        if (tokens === undefined) makeWideTrace(fresh.traces);
        else fresh.capture(LIST, "--category", category, "--max-tokens", String(tokens), "--format", "safetensors");
      }
    },
  });
});
after(() => editor?.close());

/** Notes, in the page, when the daemon had answered and when the tree had its first row. */
function watchOpening() {
  globalThis.opening = {};
  const seen = (name, selector, pattern) => {
    const found = [...document.querySelectorAll(selector)].some((part) => pattern.test(part.textContent));
    if (found) globalThis.opening[name] ??= performance.now();
  };
  new MutationObserver(() => {
    seen("activated", '.statusbar-item[id*="nanoscope"]', /nanoscope/);
    seen("answered", '.statusbar-item[id*="nanoscope"]', /nanoscope(?!: connecting)/);
    seen("row", '.pane .monaco-list-row', /apple/);
  }).observe(document.body, { subtree: true, childList: true, characterData: true, attributes: true });
}

test("the package is small", (t) => {
  const { size } = statSync(vsix());
  t.diagnostic(`the package: ${(size / 1000).toFixed(0)} KB`);
  assert.ok(size < VSIX_BYTES);
});

test("the first row comes soon after the daemon has answered", async (t) => {
  await editor.page.evaluate(watchOpening);
  await editor.showTraces();
  await eventually("The first row", () => editor.page.evaluate(() => globalThis.opening.row !== undefined), 90_000);
  const { activated, answered, row } = await editor.page.evaluate(() => globalThis.opening);
  t.diagnostic(`first row: ${Math.round(row - activated)} ms after activation, ${Math.round(row - answered)} ms after the daemon answered`);
  assert.ok(row - answered < OPENING_MS);
});

for (const { name, category } of SIZES) {
  test(`a head ${name} is drawn soon, and its values are the file's`, async (t) => {
    const { traces } = editor.nanoscope("list");
    const { trace_id: id } = traces.find((trace) => trace.category === category);
    await show(category, id);
    const frame = await editor.frame(MATRIX);
    const heads = await frame.locator(".head").evaluateAll((all) => all.map(({ dataset }) => `${dataset.layer}.${dataset.head}`));
    const times = [];
    for (const head of heads.slice(1, 1 + HEADS)) {
      const [layer, number] = head.split(".");
      await frame.locator(`.head[data-layer="${layer}"][data-head="${number}"]`).click();
      await drawnHead(frame, head).catch(async (error) => {
        await editor.screenshot("failed-head");
        throw error;
      });
      times.push(await frame.evaluate(() => performance.getEntriesByName("nanoscope:head")[0].duration));
    }
    times.sort((a, b) => a - b);
    const [middle, most] = [times[Math.floor(HEADS / 2)], times.at(-1)].map(Math.round);
    t.diagnostic(`a head ${name}: ${middle} ms, at most ${most}`);
    assert.ok((await coloursOf(frame)) > 8, "the matrix is blank");
    await assertHovers(editor, frame, id, 4);
    await editor.screenshot(`head-${category.replaceAll(" ", "-")}`);
    assert.ok(middle < HEAD_MS);
  });
}

test("memory does not grow with the traces that were looked at", async (t) => {
  const { traces } = editor.nanoscope("list");
  const session = await editor.page.context().newCDPSession(editor.page);
  await session.send("Performance.enable");
  const heap = async () => {
    await session.send("HeapProfiler.collectGarbage");
    const { metrics } = await session.send("Performance.getMetrics");
    return metrics.find(({ name }) => name === "JSHeapUsedSize").value / 2 ** 20;
  };
  let settled;
  for (let count = 1; count <= SWITCHES; count++) {
    const { category, trace_id: id } = traces[count % traces.length];
    await show(category, id);
    if (count === SETTLED) settled = await heap();
  }
  const last = await heap();
  t.diagnostic(`memory of the window with its views: ${settled.toFixed(0)} MiB after ${SETTLED} traces, ${last.toFixed(0)} after ${SWITCHES}`);
  assert.ok(last < settled * GROWTH);
});

/** Chooses a category's one trace in the tree, and waits until the page is about it and the matrix is drawn. */
async function show(category, id) {
  const texts = await editor.rows().allInnerTexts();
  const above = texts.findIndex((text) => text.startsWith(category));
  assert.ok(above >= 0, `${category} is not among ${texts}`);
  await editor.rows().nth(above + 1).click();
  const page = await editor.frame(".trace .tabs");
  await page.locator(".facts dd", { hasText: id }).waitFor({ state: "attached" });
  await editor.frame(MATRIX);
}
