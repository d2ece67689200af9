// The selection that all views share: how a change is taken, how it fits a trace, how it comes back after a reload.

import type { Selection } from "./shared/messages";

export const NOTHING: Selection = { traceId: null, layer: 0, head: 0, token: null, step: null };

/** What is a trace's own: the others do not have that token and that step. */
export type OwnPlace = Pick<Selection, "token" | "step">;
const NOWHERE: OwnPlace = { token: null, step: null };

/** Of another trace the layer and the head stay, so that traces can be leafed through; token and step are its own. */
export function changed(
  selection: Selection,
  change: Partial<Selection>,
  places: ReadonlyMap<string, OwnPlace> = new Map(),
): Selection {
  const other = change.traceId !== undefined && change.traceId !== selection.traceId;
  const place = other ? (places.get(change.traceId ?? "") ?? NOWHERE) : {};
  return { ...selection, ...place, ...change };
}

/** Of the layers that were captured the nearest; the layer itself where none were. */
export function nearestLayer(layers: readonly number[], layer: number): number {
  return layers.reduce(
    (best, other) => (Math.abs(other - layer) < Math.abs(best - layer) ? other : best),
    layers[0] ?? layer,
  );
}

/** What of a selection there is in a trace of these layers, and of so many heads, positions and steps. */
export function fitted(
  selection: Selection,
  size: { layers: readonly number[]; heads: number; positions: number; steps: number },
): Selection {
  const within = (value: number | null, count: number): number | null =>
    value === null || value >= count ? null : value;
  return {
    ...selection,
    layer: nearestLayer(size.layers, selection.layer),
    head: Math.max(0, Math.min(selection.head, size.heads - 1)),
    token: within(selection.token, size.positions),
    step: within(selection.step, size.steps),
  };
}

export function same(one: Selection, other: Selection): boolean {
  return (Object.keys(NOTHING) as (keyof Selection)[]).every((key) => one[key] === other[key]);
}

/** From what was kept, or arrives from a webview: only what has the right type. */
export function parsed(value: unknown): Partial<Selection> {
  if (typeof value !== "object" || value === null) {
    return {};
  }
  const given = value as Record<string, unknown>;
  const change: Partial<Selection> = {};
  if (given.traceId === null || typeof given.traceId === "string") {
    change.traceId = given.traceId;
  }
  for (const key of ["layer", "head"] as const) {
    const number = given[key];
    if (isIndex(number)) {
      change[key] = number;
    }
  }
  for (const key of ["token", "step"] as const) {
    const number = given[key];
    if (number === null || isIndex(number)) {
      change[key] = number;
    }
  }
  return change;
}

function isIndex(value: unknown): value is number {
  return typeof value === "number" && Number.isInteger(value) && value >= 0;
}
