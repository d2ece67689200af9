// Every head as a small picture: all at once where the trace keeps them or is short, else layer after layer.

import type { LayerThumbnails } from "../../src/protocol";
import type { TraceData } from "../../src/shared/messages";
import { bytesOf } from "../common/tensor_values";
import type { TraceReads } from "../common/trace_reads";
import type { HeadPlace } from "./trace_heads";

const URGENCY = 0; // after all that the chosen head needs
const SHORT = 256; // positions, up to which all heads are soon pooled

/** The largest weights of blocks of cells, in 255ths: `cells` a side, a row a query. */
export interface Picture {
  cells: number;
  codes: Uint8Array;
}

interface Layer {
  cells: number;
  bytes: Uint8Array;
}

export class HeadPictures {
  private readonly layers = new Map<number, Layer>();
  private trace: TraceData | null = null;
  private asked = false;

  /** @param arrived called with the layers whose pictures came */
  constructor(
    private readonly reads: TraceReads,
    private readonly arrived: (layers: number[]) => void,
  ) {}

  /** Another trace, or the same one written anew. */
  open(trace: TraceData | null): void {
    this.trace = trace;
    this.asked = false;
    this.layers.clear();
  }

  /** Asks for them, once. */
  want(): void {
    if (this.trace === null || this.asked) {
      return;
    }
    this.asked = true;
    const { tensors } = this.trace.summary.data_info;
    const kept = Object.keys(tensors).some((name) => name.startsWith("attention_thumbnails."));
    if (kept || this.trace.positions <= SHORT) {
      this.ask(null, []);
    } else {
      const [first, ...others] = this.trace.layers;
      if (first !== undefined) {
        this.ask(first, others);
      }
    }
  }

  of({ layer, head }: HeadPlace): Picture | null {
    const found = this.layers.get(layer);
    if (found === undefined) {
      return null;
    }
    const size = found.cells ** 2;
    return { cells: found.cells, codes: found.bytes.subarray(head * size, (head + 1) * size) };
  }

  private ask(layer: number | null, others: readonly number[]): void {
    this.reads.ask({
      method: "get_head_thumbnails",
      params: { layer },
      urgency: URGENCY,
      done: ({ layers }) => {
        layers.forEach((one) => {
          this.keep(one);
        });
        this.arrived(layers.map((one) => one.layer));
        const [next, ...rest] = others;
        if (next !== undefined) {
          this.ask(next, rest);
        }
      },
      failed: () => undefined, // the cells stay empty; the chosen head says why
    });
  }

  private keep({ layer, cells, data }: LayerThumbnails): void {
    this.layers.set(layer, { cells, bytes: bytesOf(data) });
  }
}
