// How much each query looks at one key: a column of the chosen head, exactly as the file has it.

import { BoundedCache } from "../common/bounded_cache";
import { valuesOf } from "../common/tensor_values";
import type { TraceReads } from "../common/trace_reads";
import { askFor, readOf, sourceKey, type Look, type Part, type Source } from "./source";

const BYTES = 2 << 20;
const URGENCY = 2;

export class ColumnData {
  private readonly columns = new BoundedCache<Float32Array>(BYTES, (values) => values.byteLength);
  private wanted: { name: string; takeBack: () => void } | null = null;
  private failed = new Set<string>();

  /** `arrived`: a column came, or word that it does not. */
  constructor(
    private readonly reads: TraceReads,
    private readonly arrived: (failure: string | null) => void,
  ) {}

  /** Another trace. */
  clear(): void {
    this.columns.clear();
    this.failed.clear();
    this.wanted = null;
  }

  /** By query, 0 before the key; null until it came: it is asked for, and what was asked for before is taken back. */
  column(source: Source, look: Look, key: number, positions: number): Float32Array | null {
    const name = `${sourceKey(source, look)}${key}`;
    const known = this.columns.get(name) ?? null;
    if (this.wanted !== null && this.wanted.name !== name) {
      this.wanted.takeBack();
      this.wanted = null;
    }
    if (known === null && this.wanted === null && !this.failed.has(name)) {
      const part: Part = { rows: [key, positions], columns: [key, key + 1], encoding: "base64", dtype: "float32" };
      const takeBack = askFor(this.reads, readOf(source, look, part), {
        urgency: URGENCY,
        done: (result) => {
          const values = new Float32Array(positions);
          values.set(valuesOf(result), key);
          this.columns.set(name, values);
          this.wanted = null;
          this.arrived(null);
        },
        failed: (message) => {
          this.failed.add(name);
          this.wanted = null;
          this.arrived(message);
        },
      });
      this.wanted = { name, takeBack };
    }
    return known;
  }

  /** Ask again for what failed. */
  retry(): void {
    this.failed.clear();
  }
}
