// What a matrix shows: one head, or several combined; as it is, without the sink, or weighted by values.

import type { ReadParams, ReadResult } from "../../src/shared/messages";
import { headName } from "../common/number_text";
import type { TraceReads } from "../common/trace_reads";
import type { HeadPlace } from "../heads/trace_heads";

export type Combine = "mean" | "max";

/** A head; or, where `combined` is there, several, of which the place is the first. */
export interface Source extends HeadPlace {
  combined?: { how: Combine; heads: readonly HeadPlace[]; name: string };
}

export interface Look {
  hideSink: boolean;
  valueWeighted: boolean;
}

export const AS_IT_IS: Look = { hideSink: false, valueWeighted: false };

export function isPlain({ hideSink, valueWeighted }: Look): boolean {
  return !hideSink && !valueWeighted;
}

export function sourceName(source: Source): string {
  return source.combined?.name ?? headName(source.layer, source.head);
}

/** What the names of all that is read of it begin with. */
export function sourceKey({ layer, head, combined }: Source, look: Look = AS_IT_IS): string {
  const changes = `${look.hideSink ? "s" : ""}${look.valueWeighted ? "v" : ""}`;
  const heads = combined?.heads.map((one) => `${one.layer}-${one.head}`).join("+");
  const of = combined === undefined || heads === undefined ? `${layer}.${head}.` : `${combined.how}:${heads}.`;
  return changes === "" ? of : `${of}${changes}.`;
}

/** What the layers' names have in common that see equally far back. */
export function layersKey({ layer, combined }: Source): string {
  return [...new Set((combined?.heads ?? [{ layer }]).map((one) => one.layer))].join("+");
}

export type SourceRead =
  | { method: "get_tensor"; params: ReadParams<"get_tensor"> }
  | { method: "get_attention"; params: ReadParams<"get_attention"> };

export type Part = Pick<ReadParams<"get_tensor">, "rows" | "columns" | "encoding" | "dtype">;

/** How a part of it is asked for. */
export function readOf(source: Source, look: Look, part: Part): SourceRead {
  const { layer, head, combined } = source;
  if (combined === undefined && isPlain(look)) {
    return { method: "get_tensor", params: { name: "attention_weights", layer, head, ...part } };
  }
  const [first = source, ...others] = combined?.heads ?? [];
  const pair = (one: HeadPlace): [number, number] => [one.layer, one.head];
  const heads: ReadParams<"get_attention">["heads"] = [pair(first), ...others.map(pair)];
  const { hideSink: hide_sink, valueWeighted: value_weighted } = look;
  return {
    method: "get_attention",
    params: { heads, combine: combined?.how ?? "mean", hide_sink, value_weighted, ...part },
  };
}

/** How soon it is wanted, and what becomes of it. */
export interface Asking {
  urgency: number;
  done: (result: ReadResult<"get_tensor">) => void;
  failed: (message: string) => void;
}

/** What came along with the trace, if that is among it. */
export function knownOf(reads: TraceReads, read: SourceRead): ReadResult<"get_tensor"> | undefined {
  return read.method === "get_tensor" ? reads.known(read.params) : undefined;
}

export function askFor(reads: TraceReads, read: SourceRead, how: Asking): () => void {
  return read.method === "get_tensor" ? reads.ask({ ...read, ...how }) : reads.ask({ ...read, ...how });
}
