// The rest of what a person does in the editor: selections, numbers, cancelling, files, keys, themes.
import assert from "node:assert/strict";
import { readFileSync, readdirSync, unlinkSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { Editor, eventually } from "./harness/editor.mjs";
import { assertHovers, coloursOf, drawnHead, readout } from "./harness/matrix.mjs";
import { analysisOf, headOf } from "./harness/reader.mjs";

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core"), "utf8");
const SERIOUS = ["serious", "critical"];
const ENDLESS = "apple, river, stone, apple, river,"; // the built-in model goes on with it for seconds
const THEMES = ["Default Dark Modern", "Default Light Modern", "Default High Contrast"];
const SITES = ["pre_attn_norm", "post_attn", "pre_mlp_norm", "post_mlp"];
const MATRIX = ".trace .matrix[data-complete=true]";
const NOTICE = ".notice:has(p.empty)";
const TABS = 30; // stops of the tab key that a view may have before the one that is looked for

let editor;

before(async () => {
  editor = await Editor.start({
    settings: { "nanoscope.capture.maxTokens": 2400, "nanoscope.capture.temperature": 0 },
    prepare: ({ workspace }) => writeFileSync(join(workspace, "notes.md"), "# Notes\n\nThe symbol of gold is\n"),
  });
});
after(() => editor?.close());

/** Three digits, as the views write numbers. */
function shown(value) {
  return value === null ? NaN : Number(Math.abs(value) >= 1000 ? Math.round(value) : value.toPrecision(3));
}

function threeDigits(value) {
  return value.toPrecision(3).replace(".", "\\.");
}

function number(text) {
  return Number.parseFloat(text.replaceAll(",", ""));
}

test("an empty folder says what to do, and one click does it", async () => {
  await editor.showTraces();
  const welcome = editor.page.locator(".welcome-view-content", { hasText: "No traces here yet" });
  await welcome.waitFor({ timeout: 90_000 });
  await editor.screenshot("empty");
  await welcome.locator("a.monaco-button").click();
  await editor.answer("The capital of France is");
  await editor.rows().filter({ hasText: "Paris" }).first().waitFor({ timeout: 90_000 });
});

test("a selection is captured with its key", async () => {
  await editor.openFile("notes.md");
  await editor.page.locator(".view-line", { hasText: "symbol" }).first().click();
  await editor.page.keyboard.press("Home");
  await editor.page.keyboard.press("Shift+End");
  await eventually("The selection", async () => (await editor.page.locator(".selected-text").count()) > 0);
  await editor.page.keyboard.press("Control+Alt+G");
  await editor.rows().filter({ hasText: "The symbol of gold is" }).first().waitFor();
  await editor.screenshot("selection");
});

test("the summary's numbers are the reader's", async () => {
  await editor.choose("The symbol of gold is");
  const { traces } = editor.nanoscope("list");
  const { trace_id: id } = traces.find(({ prompt }) => prompt === "The symbol of gold is");
  const { attention, activations, logits } = analysisOf(editor.traces, id);
  const frame = await editor.frame(".trace .tabs");
  await frame.locator(`.trace[data-trace="${id}"]`).waitFor();
  await frame.getByRole("tab", { name: "Layers" }).click();
  const rows = await frame.locator(".layer-table tbody tr").evaluateAll((lines) =>
    lines.map((line) => [...line.querySelectorAll("td")].map((cell) => cell.textContent)),
  );
  assert.equal(rows.length, attention.num_layers);
  rows.forEach((cells, layer) => {
    const { attention_entropy, head_sparsity } = attention.layer_stats[layer];
    const spreads = SITES.map((site) => activations.layer_stats[layer][site].std);
    const wanted = [attention_entropy, head_sparsity, ...spreads].map(shown);
    assert.deepEqual(cells.map(number), wanted, `layer ${layer}`);
  });
  const known = logits.surprisal_per_token;
  const mean = known.reduce((sum, bits) => sum + bits, 0) / known.length;
  await assertRoles(frame, attention);
  await editor.screenshot("layers");
  const summary = await editor.frame(".summary .sparkline");
  await assertRoles(summary, attention, 2); // where nothing repeats, two roles have no head
  assert.match(await summary.locator("section[aria-label=Surprisal]").textContent(), new RegExp(`mean ${threeDigits(mean)}`));
  await frame.getByRole("tab", { name: "Attention" }).click();
});

/** The heads that play each role most, with how much. */
async function assertRoles(frame, attention, least = 4) {
  const buttons = await frame.locator(".role-heads button").evaluateAll((all) =>
    all.map(({ dataset, textContent }) => [Number(dataset.layer), Number(dataset.head), textContent]),
  );
  assert.ok(buttons.length >= least);
  for (const [layer, head, text] of buttons) {
    const statistics = Object.values(attention.layer_stats[layer].heads[head]).map(shown);
    assert.ok(statistics.includes(number(text.match(/[\d.e-]+$/)[0])), `${text} is no number of its head`);
  }
}

test("a generation shows its text and stops when it is cancelled", async () => {
  const before = await editor.rows().count();
  await editor.command("nanoscope: Capture Trace...");
  await editor.answer(ENDLESS);
  const toast = editor.toast("Capturing");
  await toast.waitFor();
  await toast.locator(".monaco-button", { hasText: "Cancel" }).click();
  await toast.waitFor({ state: "detached" });
  await editor.command("nanoscope: Capture Trace..."); // the next one is served, and is the only one that is added
  await editor.answer("The symbol of silver is");
  await editor.rows().filter({ hasText: "silver" }).first().waitFor();
  assert.equal(await editor.rows().count(), before + 1);
});

test("a trace file opens in its editor; a truncated one says what can be done", async () => {
  const id = editor.capture("The opposite of hot is", "--max-tokens", "8", "--format", "safetensors");
  await editor.openFile(`${id}.safetensors`);
  const frame = await editor.frame(MATRIX);
  await drawnHead(frame);
  assert.ok((await coloursOf(frame)) > 8, "the matrix is blank");
  await assertHovers(editor, frame, id, 4);
  await editor.screenshot("trace-editor");
  const whole = readFileSync(join(editor.traces, `${editor.capture("The opposite of up is", "--max-tokens", "4", "--format", "json")}.json`));
  writeFileSync(join(editor.traces, "trace_cut.json"), whole.subarray(0, 3000));
  await editor.openFile("trace_cut.json");
  const failed = await editor.frame("main:has(.trace) .notice:has(p.failed)");
  await editor.screenshot("truncated");
  await failed.locator(".notice:has(p.failed) button", { hasText: "Open as Text" }).click();
  await editor.page.locator(".tab.active", { hasText: "trace_cut.json" }).waitFor();
  await editor.page.locator(".view-line", { hasText: "schema_version" }).first().waitFor();
});

test("by keyboard alone: capture, choose a head, read its values", async () => {
  await editor.command("View: Close All Editors");
  await editor.command("nanoscope: Capture Trace...");
  await editor.answer("The opposite of cold is");
  await editor.rows().filter({ hasText: "The opposite of cold is" }).first().waitFor();
  const { traces } = editor.nanoscope("list");
  const { trace_id: id } = traces.find(({ prompt }) => prompt === "The opposite of cold is");
  await editor.command("nanoscope: Show Trace");
  const frame = await editor.frame(MATRIX);
  await tabTo(frame, ".head");
  const [layer, head] = await drawnHead(frame);
  await editor.page.keyboard.press("Control+Home");
  await editor.page.keyboard.press("ArrowDown");
  await editor.page.keyboard.press("ArrowRight");
  await drawnHead(frame, "1.1");
  await tabTo(frame, ".panel.main .matrix-window");
  await editor.page.keyboard.press("Control+End");
  const weights = headOf(editor.traces, id, 1, 1);
  const query = weights.length - 1;
  await editor.page.keyboard.press("Home");
  for (let key = await firstKey(frame, query); key < query; key++) {
    const { value } = await eventually(`The weight of ${query} → ${key}`, () => readout(frame, query, key));
    assert.equal(Number(value), weights[query][key], `${query} → ${key}; it began at ${layer}.${head}`);
    await editor.page.keyboard.press("ArrowRight");
  }
  await eventually("What is said", async () =>
    /\d/.test((await frame.locator("[aria-live]").textContent()) ?? ""),
  );
  await editor.screenshot("keyboard");
});

async function tabTo(frame, selector) {
  for (let stop = 0; stop < TABS; stop++) {
    if (await frame.evaluate((wanted) => document.activeElement?.matches(wanted) ?? false, selector)) return;
    await editor.page.keyboard.press("Tab");
  }
  assert.fail(`The tab key does not lead to ${selector}.`);
}

/** The first key that a query sees: 0, unless the head has a window. */
async function firstKey(frame, query) {
  return eventually("The first key", () =>
    frame.evaluate((wanted) => {
      const chips = [...document.querySelectorAll(".readout[data-value] .chip small")];
      const [at, key] = chips.map((part) => Number(part.textContent));
      return at === wanted && key !== undefined ? { key } : null;
    }, query),
  ).then(({ key }) => key);
}

test("axe-core has no serious findings in the trace's page and the summary", async () => {
  for (const [selector, ground] of [
    [".trace .heads", "editor"],
    [".summary .heads", "sideBar"],
  ]) {
    const frame = await editor.frame(selector);
    await frame.evaluate((name) => {
      document.body.style.background = `var(--vscode-${name}-background)`; // what lies behind it, which a frame cannot see
    }, ground);
    await frame.evaluate(AXE);
    const { violations } = await frame.evaluate(() => globalThis.axe.run(document));
    const serious = violations.filter(({ impact }) => SERIOUS.includes(impact));
    assert.deepEqual(
      serious.map(({ id, nodes: [{ html, any }] }) => `${id}: ${html} ${any[0]?.message ?? ""}`),
      [],
    );
  }
});

test("light, dark and high contrast follow the theme at once", async () => {
  const frame = await editor.frame(MATRIX);
  const grounds = new Set();
  for (const theme of THEMES) {
    editor.configure({ "workbench.colorTheme": theme });
    const ground = await eventually(`The theme ${theme}`, async () => {
      const colour = await frame.evaluate(() => getComputedStyle(document.body).getPropertyValue("--vscode-editor-background"));
      return grounds.has(colour) ? null : colour;
    });
    grounds.add(ground);
    await drawnHead(frame);
    assert.ok((await coloursOf(frame)) > 8, `the matrix is blank in ${theme}`);
    await editor.screenshot(theme.toLowerCase().replaceAll(" ", "-"));
  }
});

test("after the window is loaded again, the same head of the same trace is shown", async () => {
  await editor.choose("The capital of France is");
  const frame = await editor.frame(MATRIX);
  await frame.locator(".head[data-layer='2'][data-head='1']").click();
  await drawnHead(frame, "2.1");
  await editor.reload();
  await drawnHead(await editor.frame(MATRIX, 90_000), "2.1");
  const summary = await editor.frame(".summary .heads");
  await summary.locator(".head[data-layer='2'][data-head='1'][aria-selected=true]").waitFor();
});

test("a trace that is deleted while it is shown says so", async () => {
  const id = editor.capture("The opposite of left is", "--max-tokens", "4");
  await editor.choose("The opposite of left is");
  await drawnHead(await editor.frame(MATRIX));
  for (const file of readdirSync(editor.traces).filter((name) => name.startsWith(id))) unlinkSync(join(editor.traces, file));
  const frame = await editor.frame(NOTICE);
  assert.match(await frame.locator(NOTICE).textContent(), /deleted/);
  assert.equal(await frame.locator(`${NOTICE} button`).textContent(), "Capture Trace");
  await editor.screenshot("deleted");
});
