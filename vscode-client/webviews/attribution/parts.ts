// What wrote a logit, in parts that sum to it: by layer, and head by head.

import type { LogitComponent } from "../../src/protocol";
import { headName } from "../common/number_text";

/** `components`: those that it is the sum of. */
export interface Part {
  name: string;
  value: number;
  /** Set for one head, and for one MLP. */
  layer: number | null;
  head: number | null;
  components: readonly LogitComponent[];
}

/** One of a kind or, of heads, MLPs and neurons, one of a layer; the order of the stream, MLPs with their neurons. */
export function partsByLayer(components: readonly LogitComponent[]): Part[] {
  const layers = [
    ...new Set(components.flatMap(({ kind, layer }) => (isInLayer(kind) && layer != null ? [layer] : []))),
  ];
  return [
    sum("Embedding", components, ({ kind }) => kind === "embedding"),
    sum("Embedding (x0)", components, ({ kind }) => kind === "x0"),
    ...layers
      .sort((one, other) => one - other)
      .flatMap((layer) => [
        sum(`L${layer} heads`, components, (one) => one.kind === "head" && one.layer === layer),
        mlpPart(components, layer),
      ]),
    sum("Backout", components, ({ kind }) => kind === "backout"),
  ].filter((part) => part.components.length > 0);
}

/** Each head, whatever its values came from. */
export function headParts(components: readonly LogitComponent[]): Part[] {
  const heads = new Map<string, LogitComponent[]>();
  for (const one of components) {
    if (one.kind === "head" && one.layer != null && one.head != null) {
      const name = headName(one.layer, one.head);
      heads.set(name, [...(heads.get(name) ?? []), one]);
    }
  }
  return [...heads].map(([name, parts]) => ({
    name,
    value: total(parts),
    layer: parts[0]?.layer ?? null,
    head: parts[0]?.head ?? null,
    components: parts,
  }));
}

export function strongest(parts: readonly Part[], count: number): Part[] {
  return [...parts].sort((one, other) => Math.abs(other.value) - Math.abs(one.value)).slice(0, count);
}

export interface Step {
  from: number;
  to: number;
}

/** Each part begins where the one before it ended; the last ends at the total. */
export function steps(parts: readonly Part[]): Step[] {
  let end = 0;
  return parts.map(({ value }) => {
    const from = end;
    end += value;
    return { from, to: end };
  });
}

/** Where a head read from, whatever its values came from, the strongest first. */
export function sourcesOf({ components }: Part): { position: number; value: number }[] {
  const found = new Map<number, number>();
  for (const { position, value } of components.flatMap(({ sources }) => sources ?? [])) {
    found.set(position, (found.get(position) ?? 0) + value);
  }
  return [...found]
    .map(([position, value]) => ({ position, value }))
    .sort((one, other) => Math.abs(other.value) - Math.abs(one.value));
}

const PART_NAMES: Record<NonNullable<LogitComponent["part"]>, string> = {
  own: "the token's own",
  smeared: "smeared from the token before",
  projected: "projected values",
  value_embedding: "value embeddings",
  rest: "its other neurons",
};

/** A component inside its part: “L3H2, projected values”, “neuron 17”. */
export function componentName({ kind, layer, head, neuron, part }: LogitComponent): string {
  const place =
    kind === "neuron"
      ? `neuron ${neuron ?? ""}`
      : kind === "head" && layer != null && head != null
        ? headName(layer, head)
        : kind === "x0" && layer != null
          ? `mixed in by L${layer}`
          : "";
  return [place, part == null ? "" : PART_NAMES[part]].filter((word) => word !== "").join(", ");
}

function mlpPart(components: readonly LogitComponent[], layer: number): Part {
  const isOf = (one: LogitComponent): boolean => (one.kind === "mlp" || one.kind === "neuron") && one.layer === layer;
  return { ...sum(`L${layer} MLP`, components, isOf), layer };
}

function sum(name: string, components: readonly LogitComponent[], isOf: (one: LogitComponent) => boolean): Part {
  const own = components.filter(isOf);
  return { name, value: total(own), layer: null, head: null, components: own };
}

function total(components: readonly LogitComponent[]): number {
  return components.reduce((all, { value }) => all + value, 0);
}

function isInLayer(kind: LogitComponent["kind"]): boolean {
  return kind === "head" || kind === "mlp" || kind === "neuron";
}
