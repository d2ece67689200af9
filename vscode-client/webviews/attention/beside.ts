// What is shown beside the chosen head: heads that were pinned, and several combined.

import type { TraceData } from "../../src/shared/messages";
import { headName } from "../common/number_text";
import type { Combine, Source } from "../matrix/source";
import type { HeadPlace } from "../heads/trace_heads";

export const MOST_PINS = 4;

export type Beside = "nothing" | `${Combine} ${"layer" | "pinned"}`;

export const BESIDES: readonly Beside[] = ["nothing", "mean layer", "max layer", "mean pinned", "max pinned"];

/** In words: mean of layer 2, max of pinned heads. */
export function besideWords(beside: Beside, layer: number): string {
  if (beside === "nothing") {
    return "No combination";
  }
  const [how, of] = beside.split(" ");
  const name = how === "mean" ? "Mean" : "Max";
  return `${name} of ${of === "layer" ? `layer ${layer}` : "pinned heads"}`;
}

/** The heads that it combines; null where there are none, or nothing is combined. */
export function combinedSource(
  trace: TraceData,
  beside: Beside,
  place: HeadPlace | null,
  pins: readonly HeadPlace[],
): Source | null {
  if (beside === "nothing" || place === null) {
    return null;
  }
  const how: Combine = beside.startsWith("mean") ? "mean" : "max";
  const ofLayer = beside.endsWith("layer");
  const heads = ofLayer ? Array.from({ length: trace.heads }, (_, head) => ({ layer: place.layer, head })) : pins;
  const [first] = heads;
  if (first === undefined) {
    return null;
  }
  const names = pins.map(({ layer, head }) => headName(layer, head)).join(", ");
  const name = ofLayer ? besideWords(beside, place.layer) : `${how === "mean" ? "Mean" : "Max"} of ${names}`;
  return { ...first, combined: { how, heads, name } };
}

export function isSame(one: HeadPlace | null, other: HeadPlace | null): boolean {
  return one?.layer === other?.layer && one?.head === other?.head;
}

/** With the head pinned, or without it where it was; null where there is no room for one more. */
export function togglePin(pins: readonly HeadPlace[], place: HeadPlace): readonly HeadPlace[] | null {
  const { layer, head } = place;
  if (pins.some((pin) => isSame(pin, place))) {
    return pins.filter((pin) => !isSame(pin, place));
  }
  return pins.length < MOST_PINS ? [...pins, { layer, head }] : null;
}

/** Pins as they were kept, those that the trace still has. */
export function pinsIn(trace: TraceData, kept: unknown): HeadPlace[] {
  const layers = trace.layers;
  const given = Array.isArray(kept) ? (kept as Partial<HeadPlace>[]) : [];
  return given
    .flatMap((one) => (isPlace(one) && layers.includes(one.layer) && one.head < trace.heads ? [one] : []))
    .map(({ layer, head }) => ({ layer, head }))
    .slice(0, MOST_PINS);
}

function isPlace(value: Partial<HeadPlace> | null): value is HeadPlace {
  return Number.isInteger(value?.layer) && Number.isInteger(value?.head) && (value?.head ?? -1) >= 0;
}
