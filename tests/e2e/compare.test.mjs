// Two traces on a comparing page: numbers and pixels against the Python reader, swap, folds, Markdown, reload, keys alone.
import assert from "node:assert/strict";
import { readFileSync, unlinkSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { Editor, eventually } from "./harness/editor.mjs";
import { headOf } from "./harness/reader.mjs";

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core"), "utf8");
const SERIOUS = ["serious", "critical"];
const THEMES = ["Default Dark Modern", "Default Light Modern", "Default High Contrast", "Default High Contrast Light"];
const START =
  "The capital of Norway is Oslo. The opposite of hot is cold. The capital of France is Paris. apple, river, stone, apple.";
const GOLD = "The symbol of gold is";
const SILVER = "The symbol of silver is";
const TABS = 40; // stops of the tab key that a page may have before the one that is looked for
const MATRICES = { a: "A", b: "B", difference: "B − A" };
let editor;
let frame;
const ids = {};

before(async () => {
  editor = await Editor.start({
    prepare: (fresh) => {
      const captured = (prompt, ...flags) => fresh.capture(prompt, "--max-tokens", "8", ...flags);
      ids.gold = captured(GOLD, "--format", "safetensors");
      ids.silver = captured(SILVER, "--format", "safetensors");
      ids.longGold = captured(`${START} ${GOLD}`, "--logits", "all");
      ids.longSilver = captured(`${START} ${SILVER}`, "--logits", "all");
      ids.blind = captured("The symbol of iron is", "--sites", "post_mlp");
    },
  });
  await editor.showTraces();
});
after(() => editor?.close());

/** Chooses both in the tree and compares them; gives the page's frame, once everything of it is there. */
async function compare(one, other, wait = ".matrices[data-complete=true]") {
  await editor.showTraces();
  await editor.rows().filter({ hasText: one }).first().click();
  await editor
    .rows()
    .filter({ hasText: other })
    .first()
    .click({ modifiers: ["Control"] });
  await editor.command("nanoscope: Compare With...");
  return pageOf(one, other, wait);
}

async function pageOf(one, other, wait = ".matrices[data-complete=true]") {
  const text = (letter) => `.side-name[aria-label^="${letter}:"]`;
  const [a, b] = [one, other].map((prompt) => prompt.slice(0, 40));
  return editor.frame(
    `main:has(.compared-trace:has(${text("A")}):has-text("${a}")):has(.compared-trace:has(${text("B")}):has-text("${b}")):has(${wait})`,
  );
}

function tab(title) {
  return editor.page.locator(".tab", { hasText: title });
}

async function chooseHead(layer, head) {
  await frame.locator(`.divergence[data-layer="${layer}"][data-head="${head}"]`).click();
  await frame.locator(`.matrices[data-complete=true][data-head="${layer}.${head}"]`).waitFor();
}

/** What the line below the matrices says, once it has numbers for both. */
async function numbers() {
  return eventually("The numbers", () =>
    frame.evaluate(() => {
      const { a, b, difference } = document.querySelector(".cell-readout").dataset;
      return difference === undefined ? null : { a: Number(a), b: Number(b), difference: Number(difference) };
    }),
  );
}

/** Red less blue of a cell's corner, where no number is written. */
async function warmth(matrix, query, key, count) {
  return frame.evaluate(
    ([name, row, column, cells]) => {
      const panel = document.querySelector(`[data-matrix="${name}"]`);
      const [canvas, place] = [panel.querySelector("canvas"), panel.querySelector(".pair-window")];
      const ratio = canvas.width / canvas.clientWidth;
      const cell = place.clientWidth / cells;
      const at = (start, index) => Math.round((start + (index + 0.2) * cell) * ratio);
      const [x, y] = [at(place.offsetLeft, column), at(place.offsetTop, row)];
      const [red, , blue] = canvas.getContext("2d").getImageData(x, y, 1, 1).data;
      return red - blue;
    },
    [matrix, query, key, count],
  );
}

test("two traces that are selected in the tree are compared at once", async () => {
  frame = await compare(GOLD, SILVER);
  await tab(`${GOLD} ↔ ${SILVER}`).waitFor();
  const changed = frame.locator(".pair.changed").first();
  assert.equal((await changed.locator(".pair-a").textContent()).trim(), "gold");
  assert.equal((await changed.locator(".pair-b").textContent()).trim(), "silver");
  await editor.screenshot("compare");
});

test("heads have the divergence that the command line prints", async () => {
  const { layers } = editor.nanoscope("compare", ids.gold, ids.silver);
  for (const { layer, heads } of layers) {
    for (const [head, value] of heads.entries()) {
      const cell = frame.locator(`.divergence[data-layer="${layer}"][data-head="${head}"]`);
      const shown = value < 0.001 ? value.toExponential(2) : value.toPrecision(3);
      await eventually(`L${layer}H${head}`, async () =>
        (await cell.getAttribute("aria-label")).endsWith(`divergence ${shown}`),
      );
    }
  }
  const largest = layers.flatMap(({ layer, heads }) => heads.map((value, head) => ({ layer, head, value })));
  largest.sort((one, other) => other.value - one.value);
  await frame.getByLabel("Order of the heads").selectOption("divergence");
  const order = await frame.locator(".divergence").evaluateAll((cells) => cells.map((cell) => cell.dataset.number));
  assert.deepEqual(
    order,
    largest.map(({ layer, head }) => `L${layer}H${head}`),
  );
  await frame.getByLabel("Order of the heads").selectOption("layer");
});

test("A, B and B − A are the reader's, cell by cell, and blue and orange say which way", async () => {
  const { pairs } = editor.nanoscope("compare", ids.gold, ids.silver);
  let signs = 0;
  for (const [layer, head] of [
    [0, 0],
    [2, 1],
  ]) {
    await chooseHead(layer, head);
    const [a, b] = [ids.gold, ids.silver].map((id) => headOf(editor.traces, id, layer, head));
    const rows = pairs.filter((pair) => (pair.a ?? 0) < a.length && (pair.b ?? 0) < b.length);
    const window = frame.locator(`[data-matrix="${MATRICES.difference}"] .pair-window`);
    await window.focus();
    await editor.page.keyboard.press("Control+Home");
    for (let query = 1; query < rows.length; query++) {
      await editor.page.keyboard.press("ArrowDown");
      await editor.page.keyboard.press("End");
      for (let key = query; key >= Math.max(0, query - 2); key--) {
        const [row, column] = [rows[query], rows[key]];
        if ([row.a, row.b, column.a, column.b].every((position) => position !== null)) {
          const [one, other] = [a[row.a][column.a], b[row.b][column.b]];
          const wanted = { a: one, b: other, difference: other - one };
          await eventually(`${query} → ${key}`, async () => {
            const told = await numbers();
            return told.a === wanted.a && told.b === wanted.b && told.difference === wanted.difference;
          });
          if (Math.abs(other - one) > 0.03) {
            await editor.page.keyboard.press("Tab"); // the cursor would lie over it
            await eventually(`The colour of ${query} → ${key}: ${other - one}`, async () => {
              const warm = await warmth(MATRICES.difference, query, key, rows.length);
              return other > one ? warm > 20 : warm < -20;
            });
            signs++;
            await window.focus();
          }
        }
        await editor.page.keyboard.press("ArrowLeft");
      }
    }
  }
  assert.ok(signs > 3, "nothing differed enough to see");
  await editor.screenshot("compare-cell");
});

test("swapped, the difference has the other sign, in the title too", async () => {
  const look = async () => {
    await frame.locator(`[data-matrix="A"] .pair-window`).focus();
    await editor.page.keyboard.press("Control+Home");
    for (const key of ["ArrowDown", "ArrowDown", "ArrowDown", "ArrowDown", "ArrowRight"])
      await editor.page.keyboard.press(key);
    return numbers();
  };
  const before = await look();
  await frame.getByRole("button", { name: "Swap" }).press("Enter");
  await tab(`${SILVER} ↔ ${GOLD}`).waitFor();
  frame = await pageOf(SILVER, GOLD);
  const after = await look();
  assert.deepEqual(after, {
    a: before.b,
    b: before.a,
    difference: -before.difference,
  });
  assert.notEqual(before.difference, 0);
});

test("Copy as Markdown copies what is shown, A first", async () => {
  await frame.getByRole("button", { name: "Copy as Markdown" }).press("Enter");
  const text = await eventually("The copy", async () => {
    const copied = await editor.page.evaluate(() => navigator.clipboard.readText());
    return copied.startsWith("# Two traces") && copied.replaceAll("\\", "");
  });
  assert.match(text, new RegExp(`\\| trace \\| ${ids.silver} \\| ${ids.gold} \\|`));
  assert.match(text, /\*\*<code>·silver<\/code>\*\*/);
});

test("a reload of the window brings the page back, swapped and at its head", async () => {
  await chooseHead(1, 2);
  await editor.reload();
  await tab(`${SILVER} ↔ ${GOLD}`).waitFor();
  frame = await pageOf(SILVER, GOLD);
  await frame.locator('.matrices[data-complete=true][data-head="1.2"]').waitFor();
});

test("long equal parts fold, by Enter too, and several pages stay open", async () => {
  frame = await compare(`${START} ${GOLD}`.slice(0, 30), "The symbol of iron is", ".pairs .pair");
  await editor.page.locator(".tab", { hasText: "The symbol of iron is" }).first().waitFor();
  assert.match(await frame.locator(".compare-notice").textContent(), /B was captured without attention/);
  await frame.getByRole("button", { name: "Capture B's Prompt Again" }).waitFor();
  assert.equal(await frame.locator(".matrices").isVisible(), false);

  await editor
    .rows()
    .filter({ hasText: START.slice(0, 30) })
    .nth(0)
    .click();
  await editor
    .rows()
    .filter({ hasText: START.slice(0, 30) })
    .nth(1)
    .click({ modifiers: ["Control"] });
  await editor.command("nanoscope: Compare With...");
  frame = await editor.frame("main:has(.fold):has(.matrices[data-complete=true])");
  const fold = frame.locator(".fold").first();
  const hidden = Number((await fold.textContent()).match(/\d+/)[0]);
  assert.ok(hidden >= 12);
  const before = await frame.locator(".pair").count();
  await fold.focus();
  await editor.page.keyboard.press("Enter");
  assert.equal(await frame.locator(".pair").count(), before + hidden);
  await editor.page.keyboard.press("Enter");
  assert.equal(await frame.locator(".pair").count(), before);
  assert.equal(await frame.locator(".fold:focus").count(), 1);
  const differing = frame.locator(".pair.same", { has: frame.locator(".bar-value") }).last();
  assert.match(await differing.textContent(), /B − A [+−\d]/);
  assert.ok((await editor.page.locator(".tab", { hasText: "↔" }).count()) >= 3);
  await editor.screenshot("compare-long");
});

test("the tab key reaches everything, and each is named", async () => {
  await frame.locator(".side-name").first().focus();
  const names = [];
  for (let press = 0; press < TABS; press++) {
    const name = await frame.evaluate(() => {
      const { activeElement: at } = document;
      return at === document.body ? null : (at.getAttribute("aria-label") ?? at.textContent);
    });
    if (name === null) break;
    names.push(name);
    await editor.page.keyboard.press("Tab");
  }
  for (const wanted of [
    /^A: open/,
    /^B: open/,
    /^Swap$/,
    /^Copy as Markdown$/,
    /equal tokens|position/,
    /Order of the heads/,
    /divergence/,
    /^A, L/,
    /^B, L/,
    /^B − A, L/,
    /Scale/,
  ]) {
    assert.ok(
      names.some((name) => wanted.test(name)),
      `${wanted} among ${names.join(" | ")}`,
    );
  }
  await frame.locator(`[data-matrix="A"] .pair-window`).focus();
  const head = () => frame.locator(".matrices").getAttribute("data-head");
  const first = await head();
  await editor.page.keyboard.press("h");
  await eventually("The next head", async () => (await head()) !== first);
  await editor.page.keyboard.press("Shift+H");
  await eventually("The head before", async () => (await head()) === first);
  const narrow = await frame.locator(`[data-matrix="A"] .pair-window > div`).evaluate((place) => place.clientWidth);
  await editor.page.keyboard.press("+");
  await eventually(
    "Larger cells",
    async () =>
      (await frame.locator(`[data-matrix="${MATRICES.b}"] .pair-window > div`).evaluate((place) => place.clientWidth)) >
      narrow,
  );
  await editor.page.keyboard.press("0");
});

test("axe-core has no serious findings in four themes", async () => {
  await frame.evaluate(() => {
    document.body.style.background = "var(--vscode-editor-background)"; // what lies behind it, which a frame cannot see
  });
  await frame.evaluate(AXE);
  for (const theme of THEMES) {
    editor.configure({ "workbench.colorTheme": theme });
    await frame.locator(`body[data-vscode-theme-id="${theme}"]`).waitFor();
    const { violations } = await frame.evaluate(() => globalThis.axe.run(document));
    const serious = violations.filter(({ impact }) => SERIOUS.includes(impact));
    const told = serious.map(({ id, nodes: [first] }) => `${id}: ${first.html.slice(0, 120)} ${first.failureSummary}`);
    assert.deepEqual(told, [], theme);
    await editor.screenshot(`compare-${theme.replaceAll(" ", "-").toLowerCase()}`);
  }
  editor.configure({});
});

test("a trace that is deleted while it is compared stays on the page, which says so", async () => {
  const shown = await frame.locator(".side-name").first().getAttribute("aria-label");
  const id = shown.split(" ").at(-1);
  unlinkSync(join(editor.traces, `${id}.json`));
  await frame.locator(".compare-notice", { hasText: "The trace of A was deleted" }).waitFor();
  await frame.getByRole("button", { name: "Choose Another" }).waitFor();
  assert.ok((await frame.locator(".pair").count()) > 10);
});

test("another daemon, and the page goes on", async () => {
  await tab(`${SILVER} ↔ ${GOLD}`).click();
  frame = await pageOf(SILVER, GOLD);
  const pid = editor.daemonPid();
  process.kill(pid, "SIGKILL");
  await eventually("Another daemon", () => {
    const now = editor.daemonPid();
    return now !== null && now !== pid;
  });
  await chooseHead(3, 3);
  await frame.locator(`[data-matrix="A"] .pair-window`).focus();
  await editor.page.keyboard.press("Control+Home");
  const [silver] = headOf(editor.traces, ids.silver, 3, 3);
  assert.equal((await numbers()).a, silver[0]);
});
