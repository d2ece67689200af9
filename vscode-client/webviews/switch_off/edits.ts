// Heads and MLPs that are to be switched off: a list that changes by toggling, in words and as interventions.

import type { Intervention } from "../../src/protocol";
import { counted, headName } from "../common/number_text";

/** `head` null: the layer's MLP. */
export interface Edit {
  layer: number;
  head: number | null;
}

/** L3H2, L3 MLP. */
export function editName({ layer, head }: Edit): string {
  return head === null ? `L${layer} MLP` : headName(layer, head);
}

export function editNamed(name: string | undefined): Edit | null {
  const [, layer, head] = /^L(\d{1,6})(?:H(\d{1,6})| MLP)$/.exec(name ?? "") ?? [];
  return layer === undefined ? null : { layer: Number(layer), head: head === undefined ? null : Number(head) };
}

/** Without it where it is there, else with it; in the order of the model. */
export function toggled(edits: readonly Edit[], edit: Edit): Edit[] {
  const name = editName(edit);
  const others = edits.filter((other) => editName(other) !== name);
  const all = others.length < edits.length ? others : [...edits, edit];
  return all.sort((one, other) => one.layer - other.layer || (one.head ?? Infinity) - (other.head ?? Infinity));
}

/** 2 heads off; 1 head and 1 MLP off. */
export function offWords(edits: readonly Edit[]): string {
  const heads = edits.filter(({ head }) => head !== null).length;
  const kinds = [
    ...(heads > 0 ? [counted(heads, "head")] : []),
    ...(edits.length > heads ? [counted(edits.length - heads, "MLP")] : []),
  ];
  return `${kinds.join(" and ")} off`;
}

/** Zeros where they write, at all positions; the heads of a layer in one. */
export function interventionsOf(edits: readonly Edit[]): Intervention[] {
  const layers = [...new Set(edits.map(({ layer }) => layer))];
  return layers.flatMap((layer) => {
    const own = edits.filter((edit) => edit.layer === layer);
    const heads = own.flatMap(({ head }) => (head === null ? [] : [head]));
    return [
      ...(heads.length > 0 ? [{ op: "zero" as const, site: "head_output", layer, heads }] : []),
      ...(heads.length < own.length ? [{ op: "zero" as const, site: "post_mlp", layer }] : []),
    ];
  });
}

/** From what a page kept. */
export function keptEdits(value: unknown): Edit[] {
  const names = Array.isArray(value) ? (value as unknown[]) : [];
  return names.flatMap((name) => (typeof name === "string" ? (editNamed(name) ?? []) : []));
}
