// What a trace lacks: each view says so, and one click captures the same prompt again with it.
import assert from "node:assert/strict";
import { mkdirSync, renameSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { Editor, eventually } from "./harness/editor.mjs";
import { assertHovers, coloursOf, drawnHead } from "./harness/matrix.mjs";

const IRON = "The symbol of iron is";
const GOLD = "The symbol of gold is";
const AGAIN = "Capture Again with Attention";
const SLOW = 90_000;
let editor;
const ids = {};

before(async () => {
  editor = await Editor.start({
    settings: { "nanoscope.capture.sites": ["post_mlp"], "nanoscope.capture.maxTokens": 2 }, // which must not matter
    prepare: (fresh) => {
      const captured = (prompt, ...flags) =>
        fresh.capture(prompt, "--max-tokens", "5", "--format", "safetensors", ...flags);
      ids.iron = captured(IRON, "--sites", "post_mlp,residual", "--category", "metals", "--seed", "7");
      ids.gold = captured(GOLD, "--layers", "1,3");
    },
  });
  await editor.showTraces();
});
after(() => editor?.close());

const listed = () => editor.nanoscope("list").traces;
const documentOf = (id) => editor.nanoscope("show", id);

/** The one trace that is not among these. */
async function added(known) {
  return eventually("Another trace", () => listed().find(({ trace_id: id }) => !known.has(id)), SLOW);
}

const known = () => new Set(listed().map(({ trace_id: id }) => id));

test("a trace without attention: its page and its summary offer to capture it again, and show what comes of it", async () => {
  const before = known();
  await editor.choose(IRON);
  const frame = await editor.frame(".trace .notice:has-text('without attention')");
  const summary = await editor.frame(".summary .notice:has-text('without attention')");
  await summary.getByRole("button", { name: AGAIN }).waitFor();
  await editor.screenshot("without-attention");
  await frame.getByRole("button", { name: AGAIN }).press("Enter");
  const { trace_id: id } = await added(before);
  const shown = await editor.frame(`.trace[data-trace="${id}"] .matrix[data-complete=true]`);
  assert.ok((await coloursOf(shown)) > 8, "the matrix is blank");
  await assertHovers(editor, shown, id, 4);
  assert.equal(await shown.locator(".notice:visible").count(), 0);
  const [old, made] = [ids.iron, id].map(documentOf);
  const settings = ({ generation: { max_tokens, temperature, top_k, seed } }) => [max_tokens, temperature, top_k, seed];
  assert.deepEqual(settings(made), settings(old));
  assert.deepEqual([made.prompt, made.response, made.category], [old.prompt, old.response, old.category]);
  const names = Object.keys(made.data_info.tensors);
  assert.ok(Object.keys(old.data_info.tensors).every((name) => names.includes(name)));
  assert.equal(names.filter((name) => name.startsWith("attention_weights.")).length, 4);
});

test("so does the editor of a file that lies elsewhere", async () => {
  const elsewhere = join(editor.workspace, "elsewhere/traces");
  mkdirSync(elsewhere, { recursive: true });
  renameSync(join(editor.traces, `${ids.iron}.safetensors`), join(elsewhere, `${ids.iron}.safetensors`));
  const before = known();
  await editor.command("View: Close All Editors");
  await editor.openFile(`${ids.iron}.safetensors`);
  const frame = await editor.frame(".trace .notice:has-text('without attention')");
  await frame.getByRole("button", { name: AGAIN }).click();
  const { prompt } = await added(before);
  assert.equal(prompt, IRON);
});

test("the comparing page captures one of the two again, with the layers of the other, and compares that", async () => {
  await editor.command("View: Close All Editors");
  const blind = editor.capture("The symbol of tin is", "--max-tokens", "5", "--sites", "post_mlp");
  await editor.rows().filter({ hasText: "tin" }).first().waitFor({ timeout: SLOW });
  const before = known();
  await editor.rows().filter({ hasText: GOLD }).first().click();
  await editor.rows().filter({ hasText: "tin" }).first().click({ modifiers: ["Control"] });
  await editor.command("nanoscope: Compare With...");
  const frame = await editor.frame(".compare-notice:has-text('without attention')");
  const button = frame.getByRole("button", { name: /Capture [AB]'s Prompt Again/ });
  await button.click();
  const { trace_id: id } = await added(before);
  assert.notEqual(id, blind);
  const page = await editor.frame(".compare .matrices[data-complete=true]");
  assert.equal(await page.locator(".compare-notice").count(), 0);
  const layers = await page.locator(".divergence").evaluateAll((all) => all.map(({ dataset }) => dataset.layer));
  assert.deepEqual([...new Set(layers)].sort(), ["1", "3"]);
  const names = await page.locator(".side-name").evaluateAll((all) => all.map((one) => one.getAttribute("aria-label")));
  assert.ok(names.some((name) => name.includes(id)), names.join());
  await editor.screenshot("compared-again");
});
