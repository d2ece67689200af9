// The one text of a trace: its colours are the matrix's, its numbers the file's, and it is found, scrolled and read.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { after, before, test } from "node:test";
import { Editor, eventually } from "./harness/editor.mjs";
import { drawnHead } from "./harness/matrix.mjs";
import { headOf, likeliestAt, makeTexts } from "./harness/reader.mjs";

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core"), "utf8");
const SERIOUS = ["serious", "critical"];
const TRACE = ".trace";
const CHOSEN = 12;
const KEPT = 20;
const TURNS = 40;
const SEEN = 0.05; // a weight that has a colour
const NEAR = 12; // of 255 a channel: the matrix's weights are halves, those of the text are exact
let editor;
let ids;
let frame;

before(async () => {
  editor = await Editor.start({
    prepare: (fresh) => {
      ids = makeTexts(fresh.traces);
    },
  });
  await editor.page.setViewportSize({ width: 1800, height: 1000 });
  await show(ids.readable);
});
after(() => editor?.close());

async function show(id) {
  await editor.openFile(`${id}.safetensors`);
  frame = await editor.frame(`${TRACE} .matrix[data-complete=true]`);
  await eventually(`The trace ${id}`, async () => (await frame.locator(`.trace[data-trace="${id}"]`).count()) > 0);
  await drawnHead(frame);
}

const token = (position) => frame.locator(`.token[data-position="${position}"]`);
const choose = (mode) => frame.locator(`input[name=text-mode][value=${mode}]`).check({ force: true });

/** What the tip says of a token that is pointed at, once it is exact. */
async function weightAt(position) {
  await token(position).hover();
  const name = new RegExp(`position ${position},`);
  await frame.locator(".tip .tip-head", { hasText: name }).waitFor();
  return eventually(`The weight at ${position}`, () =>
    frame.locator(".tip .tip-weight").evaluate((line) => line.dataset.value ?? null),
  ).then(Number);
}

async function lookAway() {
  await frame.locator(".coloured-text h2").hover();
  await frame.locator(".tip").waitFor({ state: "hidden" });
}

/** The matrix's colour in the middle of a cell. */
function cellColour(query, key, positions) {
  return frame.evaluate(
    ([row, column, count]) => {
      const canvas = document.querySelector(".matrix canvas");
      const view = document.querySelector(".panel.main .matrix-window").getBoundingClientRect();
      const frameBox = canvas.getBoundingClientRect();
      const ratio = canvas.width / frameBox.width;
      const at = (start, place, length) => Math.floor((start + ((place + 0.5) * length) / count) * ratio);
      const x = at(view.left - frameBox.left, column, view.width);
      const y = at(view.top - frameBox.top, row, view.height);
      return [...canvas.getContext("2d").getImageData(x, y, 1, 1).data].slice(0, 3);
    },
    [query, key, positions],
  );
}

async function tokenColour(position) {
  const colour = await token(position).evaluate((span) => getComputedStyle(span).backgroundColor);
  return /rgba\(0, 0, 0, 0\)/.test(colour) ? null : colour.match(/\d+/g).slice(0, 3).map(Number);
}

async function assertSameColour(position, query, key, weights) {
  const [told, seen] = [await tokenColour(position), await cellColour(query, key, weights.length)];
  assert.ok(told !== null || weights[query][key] < SEEN, `${query} → ${key} has no colour`);
  if (told !== null) {
    const off = Math.max(...told.map((channel, index) => Math.abs(channel - seen[index])));
    assert.ok(off <= NEAR, `${query} → ${key}: ${told} in the text, ${seen} in the matrix`);
  }
  return told;
}

test("beside the matrix where there is room, below it where there is none", async () => {
  const boxes = () =>
    frame.evaluate(() =>
      [".overview", ".figure", ".coloured-text"].map((part) =>
        document.querySelector(part).getBoundingClientRect().toJSON(),
      ),
    );
  const [heads, matrix, text] = await boxes();
  assert.ok(heads.right <= matrix.left && matrix.right <= text.left && text.top < matrix.bottom);
  await editor.screenshot("text-beside");
  await editor.page.setViewportSize({ width: 1100, height: 1000 });
  await eventually("The narrow page", async () => (await boxes())[2].top >= (await boxes())[1].bottom);
  await editor.page.setViewportSize({ width: 1800, height: 1000 });
  await drawnHead(frame);
});

test("attention from a token is its row: numbers of the file, colours of the matrix", async () => {
  const weights = headOf(editor.traces, ids.readable, 0, 0);
  await choose("from");
  await token(CHOSEN).click();
  let coloured = 0;
  for (const key of [0, 3, 9, CHOSEN - 1, CHOSEN]) {
    assert.equal(await weightAt(key), weights[CHOSEN][key], `${CHOSEN} → ${key}`);
  }
  await lookAway();
  for (let key = 0; key < CHOSEN; key++) {
    coloured += Number((await assertSameColour(key, CHOSEN, key, weights)) !== null);
  }
  assert.ok(coloured > 2);
  assert.equal(await tokenColour(CHOSEN + 1), null);
});

test("attention to a token is its column: numbers of the file, colours of the matrix", async () => {
  const weights = headOf(editor.traces, ids.readable, 0, 0);
  await choose("to");
  let coloured = 0;
  for (const query of [CHOSEN, CHOSEN + 1, 30, weights.length - 1]) {
    assert.equal(await weightAt(query), weights[query][CHOSEN], `${query} → ${CHOSEN}`);
  }
  await lookAway();
  for (let query = CHOSEN + 2; query < weights.length; query++) {
    coloured += Number((await assertSameColour(query, query, CHOSEN, weights)) !== null);
  }
  assert.ok(coloured > 2);
  assert.equal(await tokenColour(CHOSEN - 1), null);
  await editor.screenshot("text-to");
});

test("surprisal tells five candidates, and all that were captured when asked", async () => {
  await choose("surprisal");
  await token(CHOSEN).hover();
  const rows = frame.locator(".tip .alternatives tr");
  await rows.first().waitFor();
  assert.equal(await rows.count(), 5);
  await frame.locator(".tip button.more").click();
  await eventually("All candidates", async () => (await rows.count()) === KEPT);
  const wanted = likeliestAt(editor.traces, ids.readable, CHOSEN).map((share) =>
    share < 0.001 ? "<0.1%" : `${(share * 100).toFixed(share < 0.1 ? 1 : 0)}%`,
  );
  assert.deepEqual(await frame.locator(".tip .alternatives td:first-of-type").allTextContents(), wanted);
});

test("every character can be seen, tabs have their stops, and words from right to left their own order", async () => {
  const texts = await frame
    .locator(".coloured-text .token")
    .evaluateAll((spans) => spans.map((span) => span.textContent));
  for (const text of [
    "é",
    "→\tone",
    "→\t",
    "↵",
    "↵\n↵",
    " שלום",
    " ⟨F0⟩",
    "⟨9F⟩",
    "⟨ZWSP⟩",
    "⟨ZWJ⟩",
    "⟨RLO⟩",
    "⟨BOM⟩",
    "◌\u0301",
    "⟨00⟩",
    "␣",
    "⟨CR⟩↵",
    "∅",
  ]) {
    assert.ok(texts.includes(text), `${JSON.stringify(text)} is not there: ${JSON.stringify(texts)}`);
  }
  assert.ok(texts.every((text) => Array.from(text).length <= 100));
  const left = async (text) =>
    (await frame.locator(".coloured-text .token", { hasText: text }).first().boundingBox()).x;
  assert.ok((await left("שלום")) < (await left("עולם")), "the first token stands first");
  const columns = await Promise.all(
    ["two", "long", "b"].map((text) => frame.locator(".token", { hasText: new RegExp(`^${text}$`) }).boundingBox()),
  );
  const start = (await frame.locator(".token", { hasText: /^a$/ }).boundingBox()).x;
  const width = columns[1].width; // four characters, which is a stop
  for (const { x } of columns) {
    const stops = (x - start) / width;
    assert.ok(Math.abs(stops - Math.round(stops)) < 0.05, `${stops} stops`);
  }
});

test("text is found across its tokens, a position by its number, and Escape goes back", async () => {
  await choose("from");
  await token(2).click();
  const at = () =>
    frame.evaluate(() => document.activeElement.dataset.position ?? document.activeElement.getAttribute("aria-label"));
  const before = await at();
  const count = frame.locator(".find-count");
  const current = () =>
    frame.locator(".token.found-current").evaluateAll((all) => all.map((one) => Number(one.dataset.position)));
  await editor.page.keyboard.press("Control+f");
  await editor.page.keyboard.type("PARIS");
  await eventually("The first match", async () => (await count.textContent()) === "1 of 2");
  assert.deepEqual(await current(), [6, 7]);
  assert.equal(await frame.locator(".token.found").count(), 4);
  await editor.page.keyboard.press("Enter");
  await eventually("The second match", async () => (await count.textContent()) === "2 of 2");
  assert.deepEqual(await current(), [9, 10]);
  await frame.locator('.token[data-position="9"].selected').waitFor();
  await editor.screenshot("text-found");
  await editor.page.keyboard.press("Shift+Enter");
  assert.deepEqual(await current(), [6, 7]);
  await frame.locator(".find-bar input").fill("#17");
  await frame.locator('.token[data-position="17"].selected').waitFor();
  await frame.locator(".find-bar input").fill("no such words");
  assert.equal(await count.textContent(), "No match");
  await editor.page.keyboard.press("Escape");
  assert.equal(await at(), before);
  assert.equal(await frame.locator(".token.found").count(), 0);
});

test("the text and the zoomed matrix scroll each other, and the focus stays", async () => {
  await show(ids.chat);
  await choose("from");
  const zoomIn = frame.locator("button[title^='Zoom in']");
  for (let step = 0; step < 8; step++) await zoomIn.click();
  const scrolled = () =>
    frame.locator(".panel.main .matrix-window").evaluate(({ scrollTop, scrollLeft }) => [scrollTop, scrollLeft]);
  const focus = () => frame.evaluate(() => document.activeElement.className);
  await frame.locator(".panel.main .matrix-window").focus();
  await editor.page.keyboard.press("Control+Home");
  await eventually("The matrix's first row", async () => (await scrolled()).every((place) => place === 0));
  await editor.page.keyboard.press("Control+End");
  const seen = (position) =>
    token(position).evaluate((span) => {
      const [box, list] = [span.getBoundingClientRect(), span.closest(".tokens").getBoundingClientRect()];
      return box.top >= list.top && box.bottom <= list.bottom;
    });
  const last = (await frame.locator(".coloured-text .token").count()) - 2;
  await eventually("The last token in view", () => seen(last));
  assert.match(await focus(), /matrix-window/);
  const [down] = await scrolled();
  assert.ok(down > 0);
  await editor.page.keyboard.press("Control+Home");
  await eventually("The first token in view", () => seen(0));
  await token(3).hover();
  await frame
    .locator(".coloured-text .tokens")
    .evaluate((list) => list.scrollTo({ top: list.scrollHeight, behavior: "instant" }));
  await token(last).hover();
  await eventually("The last row in the matrix", async () => (await scrolled())[0] > down * 0.9);
});

test("what comes into sight has its colours: scrolled to, jumped to, in a higher window, without its special tokens", async () => {
  const list = frame.locator(".coloured-text .tokens");
  const scroll = (share) =>
    list.evaluate((element, part) => element.scrollTo({ top: element.scrollHeight * part, behavior: "instant" }), share);
  await scroll(0);
  await choose("to");
  await token(0).click();
  await lookAway();
  const column = headOf(editor.traces, ids.chat, ...(await drawnHead(frame))).map((row) => row[0]);
  const assertColoured = async (what) => {
    const told = await frame.evaluate(async (weights) => {
      await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
      const { top, bottom } = document.querySelector(".coloured-text .tokens").getBoundingClientRect();
      const inSight = [...document.querySelectorAll(".coloured-text .token")].filter((span) => {
        const box = span.getBoundingClientRect();
        return box.height > 0 && box.bottom > top && box.top < Math.min(bottom, innerHeight);
      });
      const due = inSight.filter(({ dataset }) => weights[dataset.position] > 0.01);
      const without = due.filter((span) => getComputedStyle(span).backgroundColor === "rgba(0, 0, 0, 0)");
      return { due: due.length, without: without.map(({ dataset }) => dataset.position) };
    }, column);
    assert.deepEqual(told.without, [], what);
    assert.ok(told.due > 3, `${what}: ${told.due} with a weight`);
  };
  await assertColoured("the first");
  for (const share of [0.3, 0.6, 1]) {
    await scroll(share);
    await assertColoured(`scrolled to ${share}`);
  }
  await editor.page.keyboard.press("Control+f");
  await editor.page.keyboard.type(`#${Math.floor(column.length / 3)}`);
  await frame.locator(`.token[data-position="${Math.floor(column.length / 3)}"].selected`).waitFor();
  await token(0).evaluate((span) => span.click());
  await editor.page.keyboard.press("Escape");
  await assertColoured("jumped to");
  await editor.page.setViewportSize({ width: 1800, height: 1600 });
  await assertColoured("a higher window");
  await frame.getByLabel("Hide special tokens").check();
  await assertColoured("without special tokens");
  await frame.getByLabel("Hide special tokens").uncheck();
  await editor.page.setViewportSize({ width: 1800, height: 1000 });
});

test("a chat is blocks with their roles, and its special tokens can be hidden", async () => {
  const roles = await frame
    .locator(".coloured-text .turn[role=group]")
    .evaluateAll((all) => all.map((one) => one.getAttribute("aria-label")));
  const counted = (name) => roles.filter((role) => role === name).length;
  assert.deepEqual(["User", "Assistant", "Python", "Output", "Assistant, continued"].map(counted), [
    TURNS,
    TURNS,
    TURNS / 4,
    TURNS / 4,
    TURNS / 4,
  ]);
  const special = token(1);
  const { width } = await special.boundingBox();
  const started = Date.now();
  await frame.getByLabel("Hide special tokens").check();
  await eventually("The hidden token", async () => (await special.boundingBox()).width < Math.min(8, width));
  assert.ok(Date.now() - started < 2000);
  await editor.screenshot("text-chat");
});

test("by keyboard alone: line by line, turn by turn, and a row is kept", async () => {
  await token(0).focus();
  await editor.page.keyboard.press("Home");
  const focused = () => frame.evaluate(() => Number(document.activeElement.dataset.position));
  await editor.page.keyboard.press("PageDown");
  assert.equal(await focused(), 1);
  await editor.page.keyboard.press("PageDown");
  assert.equal(await focused(), 9);
  await editor.page.keyboard.press("ArrowUp");
  assert.ok((await focused()) < 9);
  await editor.page.keyboard.press("Enter");
  await frame.locator(".coloured-text .token.selected").waitFor();
});

test("the bar where the model begins to write is one, also where its token takes several lines", async () => {
  await show(ids.wrapped);
  await choose("from");
  const first = frame.locator(".token.first-generated");
  const { lines, colour } = await first.evaluate((span) => ({
    lines: span.getClientRects().length,
    colour: getComputedStyle(span).borderLeftColor.match(/\d+/g).slice(0, 3).map(Number),
  }));
  assert.ok(lines > 1, "it has to wrap");
  await lookAway();
  const picture = (await frame.locator(".coloured-text .tokens").screenshot()).toString("base64");
  const bars = await editor.page.evaluate(
    async ([base64, [red, green, blue]]) => {
      const bytes = Uint8Array.from(atob(base64), (one) => one.charCodeAt(0));
      const bitmap = await createImageBitmap(new Blob([bytes], { type: "image/png" }));
      const context = new OffscreenCanvas(bitmap.width, bitmap.height).getContext("2d");
      context.drawImage(bitmap, 0, 0);
      const { data } = context.getImageData(0, 0, bitmap.width, bitmap.height);
      let found = 0;
      let before = false;
      for (let y = 0; y < bitmap.height; y++) {
        let here = false;
        for (let x = 0; x < bitmap.width; x++) {
          const at = 4 * (y * bitmap.width + x);
          here ||= data[at] === red && data[at + 1] === green && data[at + 2] === blue;
        }
        found += Number(here && !before);
        before = here;
      }
      return found;
    },
    [picture, colour],
  );
  assert.equal(bars, 1);
});

test("what it is coloured by stays when the tab was left", async () => {
  await choose("to");
  await show(ids.chat);
  await show(ids.wrapped);
  assert.ok(await frame.locator("input[value=to]").isChecked());
});

test("axe-core has no serious findings, whatever the text is coloured by", async () => {
  await frame.evaluate(AXE);
  await frame.evaluate(() => {
    document.body.style.background = "var(--vscode-editor-background)"; // what lies behind it, which a frame cannot see
  });
  for (const mode of ["from", "to", "surprisal"]) {
    await choose(mode);
    await token(5).hover();
    const { violations } = await frame.evaluate(() => globalThis.axe.run(document.querySelector(".coloured-text")));
    const serious = violations.filter(({ impact }) => SERIOUS.includes(impact));
    assert.deepEqual(
      serious.map(({ id, nodes: [{ html, any }] }) => `${mode}, ${id}: ${html} ${any[0]?.message ?? ""}`),
      [],
    );
  }
});
