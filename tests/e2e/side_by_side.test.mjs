// Heads side by side, combined, without the sink and weighted by values: numbers and pixels against the Python reader.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { createRequire } from "node:module";
import { after, before, test } from "node:test";
import { Editor, eventually, PYTHON, ROOT } from "./harness/editor.mjs";
import { headOf } from "./harness/reader.mjs";

const SIDE = ".trace .panel.main .matrix[data-complete=true]";
const LIST = "apple, river, stone, apple, river,";
const CELLS = [
  [40, 3],
  [30, 30],
  [50, 20],
];

/** By Python: [plain, without sink, value-weighted, both] of L0H1, then mean of L0H0 and L0H1, mean of layer 0; a row a cell. */
const NUMBERS = `
import json, sys
import numpy as np
from nanochat.trace_storage import TraceStorage
folder, trace_id, cells = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
with TraceStorage(folder).open_trace(trace_id) as trace:
    layer = trace.attention(0)
    norms = trace.tensor("value_norms.layer_0", 0)
A = layer[1]
group = 1 * norms.shape[1] // len(layer)
rest = A.astype(np.float64); rest[:, 0] = 0
hidden = rest / np.maximum(rest.sum(1, keepdims=True), 1e-300)
found = [A, hidden, A * norms[:, group], hidden * norms[:, group], layer[:2].mean(0), layer.mean(0)]
print(json.dumps({"cells": [[float(one[q, k]) for one in found] for q, k in cells], "size": len(A)}))`;

let editor;
let frame;
let expected;
let id;

before(async () => {
  editor = await Editor.start({
    prepare: (fresh) => {
      id = fresh.capture(LIST, "--max-tokens", "44", "--format", "safetensors");
    },
  });
  const text = execFileSync(PYTHON, ["-c", NUMBERS, editor.traces, id, JSON.stringify(CELLS)], { cwd: ROOT, encoding: "utf8" });
  expected = JSON.parse(text);
  await editor.showTraces();
  await editor.choose("apple");
  frame = await editor.frame(SIDE);
});
after(() => editor?.close());

/** Points by keyboard at a cell of the chosen head's matrix; what each panel's header says there. */
async function at(query, key) {
  await frame.locator(".panel.main .matrix-window").focus();
  await editor.page.keyboard.press("Control+Home");
  for (let i = 0; i < query; i++) await editor.page.keyboard.press("ArrowDown");
  await editor.page.keyboard.press("Home");
  for (let i = 0; i < key; i++) await editor.page.keyboard.press("ArrowRight");
  return eventually(`The values of ${query} → ${key}`, () =>
    frame.evaluate(
      ([query, key]) => {
        const line = document.querySelector(".readout[data-value]");
        const places = [...(line?.querySelectorAll(".chip small") ?? [])].map((part) => Number(part.textContent));
        const headers = [...document.querySelectorAll(".panel:not([hidden]) .panel-header")];
        const values = headers.map((one) => one.querySelector(".panel-value").textContent);
        const there = places[0] === query && places[1] === key;
        return there && values.every((value) => /^[\d.e-]+$/.test(value)) ? { value: Number(line.dataset.value), values } : null;
      },
      [query, key],
    ),
  );
}

const near = (found, wanted, digits = 1e-6) =>
  assert.ok(Math.abs(found - wanted) <= digits * Math.max(1e-3, Math.abs(wanted)), `${found} for ${wanted}`);
const toggle = async (box) => {
  await box.focus();
  await pressed("Space");
};
const pressed = (key) => editor.page.keyboard.press(key);

test("by keyboard alone: two heads pinned, one cursor in all of them, the mean beside them", async () => {
  await frame.locator('.heads [tabindex="0"]').focus();
  await pressed("p"); // L0H0 is pinned
  await pressed("h"); // L0H1 is chosen
  await pressed("Space"); // and pinned
  await frame.locator(".panel.main .matrix[data-complete=true][data-head='0.1']").waitFor();
  await frame.locator("select[aria-label='Combine heads']").selectOption("mean pinned");
  await frame.locator(".matrix[data-complete=true][data-head='Mean of L0H0, L0H1']").waitFor();
  assert.equal(await frame.locator(".panel:visible").count(), 3);
  for (const [index, [query, key]] of CELLS.entries()) {
    const { value, values } = await at(query, key);
    const [plain, , , , pair] = expected.cells[index];
    assert.equal(value, plain);
    near(Number(values[1]), pair, 5.1e-3); // three digits
  }
  await frame.locator("select[aria-label='Combine heads']").selectOption("mean layer");
  await frame.locator(".matrix[data-complete=true][data-head='Mean of layer 0']").waitFor();
  const { values } = await at(...CELLS[0]);
  near(Number(values[1]), expected.cells[0][5], 5.1e-3);
  await editor.screenshot("side-by-side");
});

test("every pixel of a cell has the colour of its own value, and larger values are brighter", async () => {
  const weights = headOf(editor.traces, id, 0, 1);
  await frame.locator('.heads [tabindex="0"]').focus(); // no row is lit
  await frame.locator(".panel.main .matrix-window").evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));
  const found = await frame.evaluate(
    ([size]) => {
      const panel = document.querySelector(".panel.main");
      const context = panel.querySelector("canvas").getContext("2d");
      const box = panel.querySelector(".matrix-window");
      const [left, top, cell] = [box.offsetLeft, box.offsetTop, box.clientWidth].map((length) => length * devicePixelRatio);
      const step = cell / size;
      const edge = (position) => Math.ceil(position * step - 0.5 - 1e-6);
      const cells = [];
      for (let query = 0; query < size; query++) {
        for (let key = 0; key <= query; key++) {
          const [x, y] = [edge(key), edge(query)];
          const [width, height] = [edge(key + 1) - x, edge(query + 1) - y];
          const { data } = context.getImageData(left + x, top + y, width, height);
          const colours = new Set(new Uint32Array(data.buffer));
          const [red, green, blue] = data;
          cells.push([query, key, colours.size, red + green + blue]);
        }
      }
      return cells;
    },
    [weights.length],
  );
  const plain = found.filter(([, , colours]) => colours === 1);
  assert.ok(plain.length > 0.9 * found.length, `${plain.length} of ${found.length} cells have one colour`); // lines cross some
  const sorted = plain.map(([query, key, , light]) => [weights[query][key], light]).sort(([a], [b]) => a - b);
  const odd = sorted.filter(([, light], i) => i >= 40 && light < sorted[i - 40][1] - 24);
  assert.ok(odd.length < 0.05 * sorted.length, `${odd.length} of ${sorted.length} are darker than smaller ones`); // dashes lie on some
  assert.ok(sorted.at(-1)[1] > sorted[0][1] + 300, "the matrix is blank");
});

test("without the sink and weighted by values, numbers are Python's and the table says so", async () => {
  await frame.locator("select[aria-label='Combine heads']").selectOption("nothing");
  const [query, key] = CELLS[0];
  const [plain, hidden, weighted, both] = expected.cells[0];
  const sink = frame.getByLabel("Hide sink");
  const values = frame.getByLabel("Value-weighted");
  await toggle(sink);
  near((await at(query, key)).value, hidden);
  assert.match(await frame.locator(".row-table caption").innerText(), /sink hidden/);
  assert.equal((await frame.locator(".row-table tfoot td").last().innerText()).trim(), "1.00");
  await toggle(values);
  near((await at(query, key)).value, both);
  assert.match(await frame.locator(".row-table thead").innerText(), /× ‖v‖/i);
  await toggle(sink);
  near((await at(query, key)).value, weighted);
  await toggle(values);
  assert.equal((await at(query, key)).value, plain);
});

test("zooming by keys keeps the chosen cell where it is, in all matrices", async () => {
  await at(...CELLS[1]);
  const place = () =>
    frame.evaluate(
      ([query, key, size]) =>
        [...document.querySelectorAll(".panel:not([hidden]) .matrix-window")].map((box) => {
          const cell = box.scrollWidth / size;
          const clamped = box.scrollLeft < 1 || box.scrollLeft > box.scrollWidth - box.clientWidth - 1; // no more to the side
          return [clamped ? null : (key + 0.5) * cell - box.scrollLeft, (query + 0.5) * cell - box.scrollTop, cell];
        }),
      [...CELLS[1], expected.size],
    );
  const [[, y, cell]] = await place();
  const x = (CELLS[1][1] + 0.5) * cell;
  await pressed("+");
  await pressed("+");
  const zoomed = await eventually("Larger cells", async () => {
    const all = await place();
    return all.every(([, , now]) => now > cell * 1.3) ? all : null;
  });
  for (const [nowX, nowY] of zoomed) {
    assert.ok(Math.abs((nowX ?? x) - x) < 3 && Math.abs(nowY - y) < 3, `${nowX}, ${nowY} for ${x}, ${y}`);
  }
  await pressed("0");
});

test("pins come back with the window, nothing is out of reach, and the matrix goes out as CSV", async () => {
  await editor.reload();
  await editor.showTraces();
  frame = await editor.frame(SIDE);
  await frame.locator(".panel-name", { hasText: "L0H0" }).first().waitFor();
  await frame.getByRole("button", { name: "Save or copy" }).click();
  await frame.getByText("Copy matrix as CSV").click();
  const text = await eventually("The clipboard", async () => {
    const copied = await editor.page.evaluate(() => navigator.clipboard.readText());
    return copied.startsWith("query,") ? copied : null;
  });
  const lines = text.trim().split("\n");
  assert.equal(lines.length, expected.size + 1);
  for (const [index, [query, key]] of CELLS.entries()) {
    const value = lines[query + 1].split(",").at(key - expected.size);
    assert.equal(Math.fround(Number(value)), expected.cells[index][0]);
  }
  const source = createRequire(import.meta.url)("axe-core").source;
  await frame.evaluate(source);
  await frame.evaluate(() => {
    const { documentElement: root, body } = document;
    body.style.backgroundColor = getComputedStyle(root).getPropertyValue("--vscode-sideBar-background"); // it lies beneath the page
  });
  const { violations } = await frame.evaluate(() => globalThis.axe.run(document));
  const serious = violations.filter(({ impact }) => impact === "serious" || impact === "critical");
  assert.deepEqual(serious.map(({ id: rule, nodes }) => `${rule} ${nodes[0].html} ${nodes[0].any[0]?.message}`), []);
});
