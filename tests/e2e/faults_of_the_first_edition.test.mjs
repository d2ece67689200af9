// What the first edition got wrong and no other file here looks at: its colours, its words, its menus, its settings.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { Editor, eventually } from "./harness/editor.mjs";
import { drawnHead } from "./harness/matrix.mjs";
import { headOf } from "./harness/reader.mjs";

const LIST = "apple, river, stone, apple, river,";
const HIGH_CONTRAST_LIGHT = "Default High Contrast Light";
const PAGE = ".trace .trace-header";
const SUMMARY = ".summary";
const TOLD_APART = 60; // of 765, red, green and blue together
let editor;
const ids = {};

before(async () => {
  editor = await Editor.start({
    prepare: (fresh) => {
      const captured = (prompt, ...flags) => fresh.capture(prompt, "--max-tokens", "3", ...flags);
      ids.list = captured(LIST, "--format", "safetensors");
      ids.partial = captured("The capital of Norway is", "--layers", "1,3", "--format", "json");
      ids.blind = captured("The symbol of iron is", "--sites", "post_mlp");
      ids.one = fresh.capture("The symbol of gold is", "--max-tokens", "1", "--layers", "2", "--format", "json");
    },
  });
  await editor.showTraces();
});
after(() => editor?.close());

/** Chooses a trace in the tree; its page and its summary. */
async function show(prompt) {
  await editor.choose(prompt);
  const shown = `main:has(.what:has-text("${prompt}"))`;
  return { page: await editor.frame(`${shown} ${PAGE}`), summary: await editor.frame(SUMMARY) };
}

/** All that a page says: its text, and what it says on hover or to a screen reader. */
function wordsOf(frame) {
  return frame.evaluate(() => {
    const told = [...document.querySelectorAll("main *")].flatMap((one) =>
      ["title", "aria-label", "aria-description"].map((name) => one.getAttribute(name) ?? ""),
    );
    return [document.body.innerText, ...told].filter((words) => words.trim() !== "");
  });
}

/** The colour of the middle of each cell that a query sees: [weight, red, green, blue], the least weight first. */
async function coloursByWeight(frame, traceId) {
  const [layer, head] = await drawnHead(frame);
  const weights = headOf(editor.traces, traceId, layer, head);
  const pixels = await frame.evaluate((count) => {
    const view = document.querySelector(".panel.main .matrix-window, .matrix-window").getBoundingClientRect();
    const canvas = document.querySelector(".matrix canvas");
    const box = canvas.getBoundingClientRect();
    const ratio = canvas.width / box.width;
    const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    const at = (start, place, length) => Math.floor((start + ((place + 0.2) * length) / count) * ratio); // no number there
    return Array.from({ length: count }, (_, query) =>
      Array.from({ length: query + 1 }, (__, key) => {
        const [x, y] = [at(view.left - box.left, key, view.width), at(view.top - box.top, query, view.height)];
        return [...data.slice(4 * (y * canvas.width + x), 4 * (y * canvas.width + x) + 3)];
      }),
    );
  }, weights.length);
  const cells = pixels.flatMap((row, query) => row.map((colour, key) => [weights[query][key], ...colour]));
  return cells.sort(([one], [other]) => one - other);
}

test("High Contrast Light: colours go from white to what can be told from black, and orange is orange", async () => {
  const { page } = await show(LIST);
  await page.getByLabel("Scale of the colours").selectOption("unit");
  for (const name of ["ember", "orange"]) {
    editor.configure({ "workbench.colorTheme": HIGH_CONTRAST_LIGHT, "nanoscope.attention.colourMap": name });
    await page.locator(`body[data-vscode-theme-id="${HIGH_CONTRAST_LIGHT}"]`).waitFor();
    const sum = ([, red, green, blue]) => red + green + blue;
    const cells = await eventually(`The colours of ${name}`, async () => {
      const found = await coloursByWeight(page, ids.list);
      return sum(found[0]) > 700 && found.some(([, red, , blue]) => red > blue + 20) ? found : null;
    });
    const largest = cells.at(-1);
    assert.ok(largest[0] > 0.9, "a head with a large weight is needed");
    assert.ok(sum(largest) > TOLD_APART, `${name}: ${largest} is black`);
    const middle = cells.filter(([weight]) => weight > 0.3 && weight < 0.7);
    assert.ok(middle.length > 2);
    for (const [weight, red, , blue] of middle) {
      assert.ok(red > blue, `${name}: ${weight} is ${red} of red and ${blue} of blue`);
    }
    const steps = [0.1, 0.5, 0.9].map((least) => sum(cells.find(([weight]) => weight >= least)));
    assert.ok(steps[0] > steps[1] + TOLD_APART && steps[1] > steps[2] + TOLD_APART, `${name}: ${steps}`);
    await editor.screenshot(`high-contrast-light-${name}`);
  }
  editor.configure({});
});

test("a trace without attention: nothing says that no token repeats", async () => {
  const { page, summary } = await show("The symbol of iron is");
  await summary.locator(".notice", { hasText: "without attention" }).waitFor();
  await page.getByRole("tab", { name: "Layers" }).click();
  for (const frame of [page, summary]) {
    assert.doesNotMatch((await wordsOf(frame)).join("\n"), /no token repeats/);
  }
  await page.getByRole("tab", { name: "Attention" }).click();
});

test("one is one: 1 token, 1 layer, wherever it is said", async () => {
  const { page, summary } = await show("The symbol of gold is");
  await summary.locator("text=1 token written").waitFor();
  const rows = await editor.rows().evaluateAll((all) => all.map((row) => row.getAttribute("aria-label")));
  await page.getByRole("tab", { name: "Layers" }).click();
  const said = [...(await wordsOf(page)), ...(await wordsOf(summary)), ...rows];
  await page.getByRole("tab", { name: "Attention" }).click();
  said.push(...(await wordsOf(page)));
  assert.ok(said.some((words) => words.includes("1 token written")));
  const wrong = said.filter((words) => /(?<![\d.] |\+ |\d[.,]?)\b1 (tokens|layers|heads|positions|traces|steps)\b/.test(words));
  assert.deepEqual(wrong, []);
});

test("a head that a trace does not have: all views show the same other one", async () => {
  const chosenIn = ({ page, summary }) =>
    Promise.all(
      [page, summary].map((frame) =>
        frame.locator(".heads .head[aria-selected=true]").evaluate(({ dataset }) => `${dataset.layer}.${dataset.head}`),
      ),
    );
  const whole = await show(LIST);
  await whole.page.locator('.head[data-layer="0"][data-head="2"]').click();
  await drawnHead(whole.page, "0.2");
  const partial = await show("The capital of Norway is");
  await drawnHead(partial.page, "1.2");
  await partial.summary.locator(".chosen strong", { hasText: "L1H2" }).waitFor();
  assert.deepEqual(await chosenIn(partial), ["1.2", "1.2"]);
  const value = await partial.summary.locator(".sparkline-value").first().getAttribute("title");
  assert.equal(value, "Layer 1");
  await partial.page.getByRole("tab", { name: "Layers" }).click();
  const buttons = partial.page.locator(".role-heads button");
  const pressed = await buttons.evaluateAll((all) =>
    all.map((one) => [`${one.dataset.layer}.${one.dataset.head}`, one.getAttribute("aria-pressed")]),
  );
  assert.ok(pressed.some(([head]) => head === "1.2"));
  assert.deepEqual(
    pressed.filter(([head, isPressed]) => (head === "1.2") !== (isPressed === "true")),
    [],
  );
  await partial.page.getByRole("tab", { name: "Attention" }).click();
  await editor.screenshot("other-layers");
  await partial.page.locator(".matrix-window").first().focus();
  await editor.page.keyboard.press("l"); // from the layer that is shown, not from the one that was asked for
  await drawnHead(partial.page, "3.2");
  await eventually("Both views", async () => (await chosenIn(partial)).every((head) => head === "3.2"));
});

test("a head has one name, in text, hovers and what is read aloud", async () => {
  const { page, summary } = await show(LIST);
  await page.locator(".matrix-window").first().focus();
  await editor.page.keyboard.press("h");
  const said = await eventually("What is read aloud", async () => {
    const live = await page.locator("[aria-live]").allTextContents();
    return live.join(" ").includes("L") ? live : null;
  });
  const words = [...said, ...(await wordsOf(page)), ...(await wordsOf(summary))];
  await page.getByRole("tab", { name: "Layers" }).click();
  words.push(...(await wordsOf(page)));
  await page.getByRole("tab", { name: "Attention" }).click();
  assert.ok(words.filter((one) => /\bL\d+H\d+\b/.test(one)).length > 16);
  assert.deepEqual(
    words.filter((one) => /layer \d+,? head \d+|\bL\d+ H\d+|\bhead \d+\.\d+/i.test(one)),
    [],
  );
});

test("Open as Text is for what is text: a JSON trace, not a safetensors one", async () => {
  for (const [prompt, isText] of [
    [LIST, false],
    ["The capital of Norway is", true],
  ]) {
    await editor.rows().filter({ hasText: prompt }).first().click({ button: "right" });
    await editor.page.locator(".monaco-menu .action-item", { hasText: "Open in Trace Editor" }).waitFor();
    const entries = await editor.page.locator(".monaco-menu .action-item", { hasText: "Open as Text" }).count();
    await editor.page.keyboard.press("Escape");
    assert.equal(entries, isText ? 1 : 0, prompt);
  }
});

test("layers, top-K logits and steps can be set, and captures follow", async () => {
  editor.configure({
    "nanoscope.format": "json",
    "nanoscope.capture.maxTokens": 3,
    "nanoscope.capture.topK": 7,
    "nanoscope.capture.layers": [1],
    "nanoscope.capture.logits": 5,
    "nanoscope.capture.steps": true,
  });
  await editor.command("nanoscope: Capture Trace...");
  await editor.answer("The capital of Italy is");
  await editor.rows().filter({ hasText: "Italy" }).first().waitFor({ timeout: 90_000 });
  const { trace_id: id } = editor.nanoscope("list").traces.find(({ prompt }) => prompt.includes("Italy"));
  const { generation, data_info: info } = JSON.parse(readFileSync(join(editor.traces, `${id}.json`), "utf8"));
  assert.equal(generation.top_k, 7);
  assert.equal(info.intermediate_steps, true);
  const names = Object.keys(info.tensors);
  assert.deepEqual(
    names.filter((name) => name.startsWith("attention_weights")),
    ["attention_weights.layer_1"],
  );
  assert.equal(info.tensors["output_logits.values"].shape.at(-1), 5);
  editor.configure({});
});
