// Which bars are drawn: parts that sum to the total one after the other, or each from zero.

import type { Edit } from "../switch_off/edits";
import { steps, type Part } from "./parts";

export interface Bar {
  part: Part;
  from: number;
  to: number;
  isTotal: boolean;
}

/** The parts in their order, then the total, which they end at. */
export function sumBars(parts: readonly Part[], total: number): Bar[] {
  const bars = steps(parts);
  return [
    ...parts.map((part, index) => ({ part, ...(bars[index] ?? { from: 0, to: 0 }), isTotal: false })),
    { part: { name: "Sum", value: total, layer: null, head: null, components: [] }, from: 0, to: total, isTotal: true },
  ];
}

export function barsFromZero(parts: readonly Part[]): Bar[] {
  return parts.map((part) => ({ part, from: 0, to: part.value, isTotal: false }));
}

/** Of all ends, 0 among them: what the bars span. */
export function spanOf(bars: readonly Bar[]): [number, number] {
  const ends = bars.flatMap(({ from, to }) => [from, to]);
  return [Math.min(0, ...ends), Math.max(0, ...ends)];
}

/** What switching the part off means; null where it cannot be. */
export function editOf({ layer, head }: Part): Edit | null {
  return layer === null ? null : { layer, head };
}
