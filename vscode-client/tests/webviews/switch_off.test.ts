// What is switched off: toggled, told, sent as interventions, and kept for each trace.

import assert from "node:assert/strict";
import { test } from "node:test";
import type { ViewState } from "../../src/shared/messages";
import { createStore } from "../../webviews/common/store";
import { createEdits } from "../../webviews/switch_off/edit_store";
import {
  editName,
  editNamed,
  interventionsOf,
  keptEdits,
  offWords,
  toggled,
  type Edit,
} from "../../webviews/switch_off/edits";

const HEAD = { layer: 3, head: 2 };
const OTHER = { layer: 3, head: 0 };
const MLP = { layer: 1, head: null };

void test("a name leads back to what it names, and nothing else does", () => {
  for (const edit of [HEAD, MLP]) {
    assert.deepEqual(editNamed(editName(edit)), edit);
  }
  for (const name of ["", "L3 heads", "Embedding", "L3H", "H2", "L1 MLP ", undefined]) {
    assert.equal(editNamed(name), null);
  }
  assert.deepEqual(keptEdits(["L3H2", 5, "no", "L1 MLP"]), [HEAD, MLP]);
  assert.deepEqual(keptEdits({ L3H2: true }), []);
});

void test("toggling puts one in its place, and takes it out", () => {
  const three = [HEAD, MLP, OTHER].reduce<Edit[]>(toggled, []);
  assert.deepEqual(three.map(editName), ["L1 MLP", "L3H0", "L3H2"]);
  assert.deepEqual(toggled(three, MLP), [OTHER, HEAD]);
});

void test("counts in words, and one intervention for the heads of a layer", () => {
  assert.equal(offWords([HEAD]), "1 head off");
  assert.equal(offWords([HEAD, OTHER]), "2 heads off");
  assert.equal(offWords([MLP]), "1 MLP off");
  assert.equal(offWords([MLP, OTHER, HEAD]), "2 heads and 1 MLP off");
  assert.deepEqual(interventionsOf([MLP, OTHER, HEAD]), [
    { op: "zero", site: "post_mlp", layer: 1 },
    { op: "zero", site: "head_output", layer: 3, heads: [0, 2] },
  ]);
});

void test("each trace has its own, also after a reload", async () => {
  const kept = new Map<string, unknown>();
  const host = { recall: (key: string) => kept.get(key), keep: (key: string, value: unknown) => kept.set(key, value) };
  const viewOf = (trace_id: string): ViewState =>
    ({ kind: "trace", trace: { summary: { trace_id } } }) as unknown as ViewState;
  const page = createStore<{ view: ViewState }>({ view: { kind: "loading", title: "" } });
  const said: string[] = [];
  const edits = createEdits(host, page, (text) => said.push(text));
  const show = async (id: string): Promise<void> => {
    page.set({ view: viewOf(id) });
    await Promise.resolve();
  };
  await show("one");
  edits.toggle(HEAD);
  await show("two");
  assert.deepEqual(edits.store.state.edits, []);
  await show("one");
  assert.deepEqual(edits.store.state.edits, [HEAD]);
  edits.toggle(HEAD);
  edits.toggle(MLP);
  const again = createEdits(host, page, () => undefined);
  await show("one");
  assert.deepEqual(again.store.state.edits, [MLP]);
  edits.reset();
  assert.deepEqual(edits.store.state.edits, []);
  assert.deepEqual(said, ["L3H2 switched off", "L3H2 switched on", "L1 MLP switched off", "Nothing is switched off"]);
});
