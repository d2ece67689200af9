// The traces tree: rows of one prompt told apart, groups, families, many rows in sight, several opened at once.
import assert from "node:assert/strict";
import { readFileSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { Editor, eventually } from "./harness/editor.mjs";

const GOLD = "The symbol of gold is";
const SLOW = 60_000;
const ROW = 22; // pixels
const ROWS = 30; // in sight at 1440 x 1000
const MANY = 40;
const SETTLED_MS = 1000; // a notification comes with the error, and stays longer
const PROMPTS =
  "max_tokens: 3\nThe symbol of iron is\n---\nmax_tokens: many\nThe symbol of tin is\n";
let editor;
let first;

before(async () => {
  editor = await Editor.start({
    prepare: (fresh) => {
      writeFileSync(join(fresh.workspace, "metals.prompt"), PROMPTS);
    },
  });
  await editor.showTraces();
});
after(() => editor?.close());

const labels = () =>
  editor.rows().evaluateAll((rows) =>
    rows.map((row) =>
      [".label-name", ".label-description"]
        .map((part) => row.querySelector(part)?.textContent ?? "")
        .join(" ")
        .trim(),
    ),
  );
const row = (text) => editor.rows().filter({ hasText: text });
const pane = (title) =>
  editor.page.locator(
    `.pane:has(> .pane-header:has(.title:text-is("${title}")))`,
  );
const toasts = () => editor.page.locator(".notification-toast").allInnerTexts();

/** A notification would be there by now. */
const settled = () => new Promise((done) => setTimeout(done, SETTLED_MS));

/** Every notification from now on goes to `window.notified`, however soon it is gone. */
const noteNotifications = () =>
  editor.page.evaluate(() => {
    window.notified = [];
    const note = () => {
      for (const toast of document.querySelectorAll(".notification-toast"))
        window.notified.push(toast.innerText);
    };
    new MutationObserver(note).observe(document.body, {
      childList: true,
      subtree: true,
      characterData: true,
    });
  });

/** A copy of the first trace, as another edition or program might have written it. */
function copy(id, change) {
  const document = JSON.parse(
    readFileSync(join(editor.traces, `${first}.json`), "utf8"),
  );
  change(document);
  writeFileSync(
    join(editor.traces, `${id}.json`),
    JSON.stringify({ ...document, trace_id: id }),
  );
}

async function groupBy(title) {
  await editor.command("nanoscope: Group Traces By...");
  const entry = editor.page.locator(".quick-input-list .monaco-list-row", {
    hasText: title,
  });
  await entry.waitFor();
  await editor.page.keyboard.type(title);
  await eventually(
    `${title} alone`,
    async () =>
      (await editor.page
        .locator(".quick-input-list .monaco-list-row")
        .count()) === 1,
  );
  await editor.page.keyboard.press("Enter");
}

test("an empty folder has one button, and the other views point to it", async () => {
  await editor.page
    .locator(".welcome-view-content", { hasText: "No traces here yet" })
    .waitFor({ timeout: SLOW });
  const frame = await editor.frame(
    "text=capture one with the button in Traces",
  );
  assert.equal(await frame.locator("button:visible").count(), 0);
  assert.equal(
    await editor.page
      .locator(".welcome-view-content a.monaco-button:visible")
      .count(),
    1,
  );
  await editor.screenshot("tree-empty");
});

test("rows of one prompt tell the settings in which they differ, a model that few have, and their time", async () => {
  first = editor.capture(GOLD, "--max-tokens", "3", "--format", "json");
  editor.nanoscope(
    "capture",
    GOLD,
    "--temperature",
    "0.8",
    "--seed",
    "7",
    "--max-tokens",
    "3",
  );
  editor.capture(
    "The capital of France is",
    "--max-tokens",
    "3",
    "--category",
    "cities",
  );
  const [year] = [new Date().getFullYear()];
  copy("other_model", (document) => {
    document.model = {
      ...document.model,
      source: "base",
      tag: "d12",
      step: 2289,
    };
    document.timestamp = `${year - 2}-11-12T10:00:00+00:00`;
  });
  copy("odd", (document) => {
    document.generation = {
      temperature: "hot",
      seed: -1,
      top_k: [1],
      max_tokens: 1e300,
    };
    document.model = 5;
    document.prompt = "Odd settings";
    document.metadata = { parent: 7 };
  });
  await eventually(
    "Five traces",
    async () => /5 traces/.test(await editor.status()),
    SLOW,
  );
  await row("d12 · 2289").waitFor();
  const told = await labels();
  const of = (part) => told.filter((text) => text.includes(part));
  assert.equal(of(GOLD).length, 3, told.join("\n"));
  assert.match(of("seed 7")[0], /\d\d:\d\d(:\d\d)? · T 0\.8 · seed 7 →/);
  assert.match(of("T 0 · seed 42")[0], /\d\d:\d\d(:\d\d)? · T 0 · seed 42/);
  assert.match(
    of("d12 · 2289")[0],
    new RegExp(`12 Nov ${year - 2} · T 0 · seed 42 · d12 · 2289`),
  );
  assert.doesNotMatch(of("France")[0], /T 0|seed|demo/);
  assert.match(of("Odd settings")[0], /Odd settings \d\d:\d\d → Au/);
  await editor.screenshot("tree-rows");
});

test("groups by time, model and prompt, by the keyboard alone; the one that holds is marked", async () => {
  await groupBy("Model");
  await eventually("The models", async () =>
    (await labels()).some((text) => /^d12 · 2289 1$/.test(text)),
  );
  const models = await labels();
  assert.ok(
    models.some((text) => /^demo 3$/.test(text)),
    models.join("\n"),
  );
  assert.ok(models.some((text) => /^No Model Named 1$/.test(text)));
  await groupBy("Time");
  await eventually("Today", async () =>
    (await labels()).some((text) => /^Today 4$/.test(text)),
  );
  await eventually("Long ago", async () =>
    (await labels()).some((text) => /^November \d{4} 1$/.test(text)),
  );
  await groupBy("Prompt");
  await eventually("The prompt", async () =>
    (await labels()).some((text) => new RegExp(`^${GOLD} 3$`).test(text)),
  );
  const prompts = await labels();
  assert.ok(
    prompts.some((text) => /^Au\. \d\d:\d\d/.test(text)),
    prompts.join("\n"),
  );
  await editor.screenshot("tree-by-prompt");
  await editor.command("nanoscope: Group Traces By...");
  const marked = editor.page.locator(
    ".quick-input-list .monaco-list-row:has(.codicon-check)",
  );
  await marked.waitFor();
  assert.match(await marked.innerText(), /Prompt/);
  await editor.screenshot("tree-group-by");
  await editor.page.keyboard.press("Escape");
});

test("a trace that comes keeps the grouping, and what is folded stays folded", async () => {
  await groupBy("Category");
  await row("cities").waitFor();
  const cities = editor.rows().filter({ hasText: /^\s*cities/ });
  await cities.click();
  await eventually(
    "It is folded",
    async () => (await cities.getAttribute("aria-expanded")) === "false",
  );
  editor.capture(
    "The capital of Italy is",
    "--max-tokens",
    "3",
    "--category",
    "cities",
  );
  await eventually(
    "Two",
    async () => /cities\s*2/.test(await cities.innerText()),
    SLOW,
  );
  assert.equal(await cities.getAttribute("aria-expanded"), "false");
  assert.equal(await row("Italy").count(), 0);
  await cities.click();
  await row("Italy").waitFor();
});

test("children stand under their parents; a circle hangs nothing", async () => {
  copy("fork_a", (document) => {
    document.metadata = { parent: first };
    document.prompt = "Forked once";
  });
  copy("fork_b", (document) => {
    document.metadata = { parent: "fork_a" };
    document.prompt = "Forked twice";
  });
  copy("round_a", (document) => {
    document.metadata = { parent: "round_b" };
    document.prompt = "Round one";
  });
  copy("round_b", (document) => {
    document.metadata = { parent: "round_a" };
    document.prompt = "Round two";
  });
  await eventually(
    "Ten traces",
    async () => /10 traces/.test(await editor.status()),
    SLOW,
  );
  const level = async (text) =>
    Number(await row(text).first().getAttribute("aria-level"));
  const parent = row("T 0 · seed 42 →");
  await parent.locator(".monaco-tl-twistie.collapsible").click(); // it had no children when it came
  await row("Forked twice").waitFor();
  assert.equal(await level("Forked twice"), (await level("Forked once")) + 1);
  assert.equal(await level("Forked once"), 3);
  assert.equal(
    Math.abs((await level("Round one")) - (await level("Round two"))),
    1,
  );
  await editor.screenshot("tree-families");
});

test("the keyboard alone folds a group, walks the rows and opens one", async () => {
  await row("Italy").click();
  await editor.page.keyboard.press("Home");
  const focused = editor.page.locator(".pane .monaco-list-row.focused");
  await eventually(
    "The first row",
    async () => (await focused.getAttribute("aria-level")) === "1",
  );
  await editor.page.keyboard.press("ArrowLeft");
  await eventually(
    "It is folded",
    async () => (await focused.getAttribute("aria-expanded")) === "false",
  );
  await editor.page.keyboard.press("ArrowRight");
  await eventually(
    "It is open",
    async () => (await focused.getAttribute("aria-expanded")) === "true",
  );
  await editor.page.keyboard.press("ArrowDown");
  await eventually(
    "A trace",
    async () => (await focused.getAttribute("aria-level")) === "2",
  );
  const label = await focused.getAttribute("aria-label");
  assert.match(label, /tokens? of prompt/); // a screen reader hears the facts as well
});

test("Open in Trace Editor stays after a multiple selection, and opens all of them", async () => {
  await row("Italy").click();
  await row("France").click({ modifiers: ["Control"] });
  await row("France").click({ button: "right" });
  const entry = editor.page.locator(".monaco-menu .action-item", {
    hasText: "Open in Trace Editor",
  });
  await entry.waitFor();
  await editor.screenshot("tree-menu");
  await entry.click();
  const tabs = editor.page.locator(".tabs-container .tab", {
    hasText: /trace_\d/,
  });
  await eventually("Two tabs", async () => (await tabs.count()) === 2, SLOW);
  await editor.command("View: Close All Editors");
});

test("thirty rows are in sight at 1440 x 1000", async (t) => {
  if ((await pane("Attention").count()) > 0)
    return t.skip("the side bar has three views");
  for (
    let number = readdirSync(editor.traces).length;
    number < MANY;
    number += 1
  ) {
    copy(
      `many_${number}`,
      (document) => (document.prompt = `Prompt number ${number}`),
    );
  }
  await eventually(
    "All of them",
    async () => new RegExp(`${MANY} traces`).test(await editor.status()),
    SLOW,
  );
  await editor
    .rows()
    .nth(ROWS - 1)
    .waitFor();
  const box = await pane("Traces")
    .locator(".monaco-list")
    .first()
    .boundingBox();
  await editor.screenshot("tree-thirty");
  assert.ok(Math.floor(box.height / ROW) >= ROWS, `${box.height / ROW} rows`);
});

test("a wrong setting of a prompt: the cursor goes to its line, and no notification repeats the underlined words", async () => {
  await editor.openFile("metals.prompt");
  await editor.page
    .locator(".squiggly-error")
    .first()
    .waitFor({ timeout: SLOW });
  await editor.page.keyboard.press("Control+G");
  await editor.answer(":1");
  await noteNotifications();
  await editor.page
    .locator(".codelens-decoration a", { hasText: "Capture" })
    .nth(1)
    .click();
  const place = editor.page.locator(".statusbar-item", {
    hasText: /Ln 4, Col/,
  });
  await place.waitFor({ timeout: SLOW });
  const status = editor.page.locator(".statusbar-item", { hasText: "Not captured" });
  const [, underlined] = (await status.innerText()).match(/Not captured: (.+)/);
  await eventually("An end of the progress", async () => (await toasts()).length === 0);
  await settled();
  await editor.screenshot("tree-prompt-fault");
  const notified = await editor.page.evaluate(() => window.notified);
  assert.ok(notified.some((text) => text.includes("Capturing prompt 2")), "the progress is seen, so a fault would be");
  assert.deepEqual(
    notified.filter((text) => text.includes(underlined)),
    [],
  );
});

test("a wrong setting of VS Code: it is shown where it stands, without a notification", async () => {
  await editor.configureAndWait({ "nanoscope.capture.temperature": -1 });
  await editor.command("nanoscope: Capture Trace...");
  await editor.answer(GOLD);
  await editor.page
    .locator('.tab.active[aria-label*="settings.json"]')
    .waitFor({ timeout: SLOW });
  await editor.page
    .locator(".statusbar-item", { hasText: "temperature must be at least 0" })
    .waitFor();
  await settled();
  await editor.screenshot("tree-setting-fault");
  assert.deepEqual(await toasts(), []);
});

test("a device that is none: the tree and the status bar say so, without a notification", async () => {
  editor.configure({ "nanoscope.device": "cpuu" });
  await eventually(
    "The status bar",
    async () => /wrong setting/.test(await editor.status()),
    SLOW,
  );
  await settled();
  await editor.screenshot("tree-device-fault");
  assert.deepEqual(await toasts(), []);
  editor.configure({});
  await eventually(
    "The traces",
    async () => /traces/.test(await editor.status()),
    SLOW,
  );
});
