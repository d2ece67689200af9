// What was read of a trace's weights; all that show it share it.

import { BoundedCache } from "../common/bounded_cache";
import type { Codes } from "../common/tensor_values";

const TILE_BYTES = 48 << 20;
const ROW_BYTES = 2 << 20;

export class ReadWeights {
  readonly tiles = new BoundedCache<Codes>(TILE_BYTES, (codes) => codes.byteLength);
  readonly rows = new BoundedCache<Float32Array>(ROW_BYTES, (values) => values.byteLength);
  /** By layers. */
  readonly windows = new Map<string, number>();

  clear(): void {
    this.tiles.clear();
    this.rows.clear();
    this.windows.clear();
  }
}
