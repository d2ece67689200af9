// Statistics by layer, as the charts and their table show them.

import type { Analysis } from "../../src/protocol";
import type { Statistic } from "../common/statistics";

export interface Curve {
  name: string;
  /** A value a layer, null where there is none. */
  values: (number | null)[];
}

export interface CurveGroup {
  title: string;
  unit: string;
  layers: number[];
  curves: Curve[];
}

const SITES: Record<string, string> = {
  pre_attn_norm: "before attention",
  post_attn: "after attention",
  pre_mlp_norm: "before MLP",
  post_mlp: "after MLP",
};

/** `metric`: the metric of layers that is drawn of the activations. */
export function curveGroups(analysis: Analysis, metric: Statistic | undefined): CurveGroup[] {
  const attention = analysis.attention?.layer_stats ?? {};
  const activations = analysis.activations?.layer_stats ?? {};
  const groups: CurveGroup[] = [];
  const layers = layersOf(attention);
  if (layers.length > 0) {
    const curve = (name: "attention_entropy" | "head_sparsity", label: string): Curve => ({
      name: label,
      values: layers.map((layer) => numberOf(attention[String(layer)]?.[name])),
    });
    groups.push(
      { title: "Attention entropy", unit: "nats", layers, curves: [curve("attention_entropy", "mean of heads")] },
      { title: "Attention sparsity", unit: "", layers, curves: [curve("head_sparsity", "mean of heads")] },
    );
  }
  const sites = [...new Set(Object.values(activations).flatMap((layer) => Object.keys(layer)))];
  if (sites.length > 0 && metric !== undefined) {
    const active = layersOf(activations);
    const curves = sites.map((site) => ({
      name: SITES[site] ?? site.replaceAll("_", " "),
      values: active.map((layer) => activations[String(layer)]?.[site]?.[metric.name] ?? null),
    }));
    const title = `Activations: ${metric.label.toLowerCase()}`;
    groups.push({ title, unit: metric.unit ?? "", layers: active, curves });
  }
  return groups;
}

function numberOf(value: unknown): number | null {
  return typeof value === "number" ? value : null;
}

function layersOf(byLayer: Record<string, unknown>): number[] {
  return Object.keys(byLayer)
    .map(Number)
    .sort((a, b) => a - b);
}

/** One line a layer with every curve's value. */
export function curveTable(groups: readonly CurveGroup[]): { heads: string[]; rows: (number | null)[][] } {
  const layers = [...new Set(groups.flatMap((group) => group.layers))].sort((a, b) => a - b);
  const columns = groups.flatMap((group) =>
    group.curves.map((curve) => ({
      head: group.curves.length === 1 ? group.title : `${group.title}, ${curve.name}`,
      at: (layer: number): number | null => curve.values[group.layers.indexOf(layer)] ?? null,
    })),
  );
  return {
    heads: ["Layer", ...columns.map((column) => column.head)],
    rows: layers.map((layer) => [layer, ...columns.map((column) => column.at(layer))]),
  };
}
