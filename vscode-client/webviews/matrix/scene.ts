// What there is to draw of a panel: on the screen as it is seen, in a picture as a whole.

import type { ColourMap } from "../common/colour_map";
import type { CodeType } from "../common/tensor_values";
import { scaleOf, type AttentionState } from "../attention/attention_state";
import type { HeadData } from "./head_data";
import type { Scene } from "./matrix_drawing";
import { visibleSpan, type Fitting } from "./matrix_layout";
import type { PanelState } from "../attention/panel";
import type { Raster } from "./raster";
import { largestWeights } from "./row_values";
import { sourceKey, type Source } from "./source";
import { promptLength } from "../heads/trace_heads";
import { codeTypeFor, paletteOf, pixelOf, type Scale } from "./value_scale";

const NAMED_KEYS = 3;

export interface Framing {
  fitting: Fitting;
  ratio: number;
  slanted: boolean;
  /** Device pixels. */
  scrollX: number;
  scrollY: number;
}

export interface Drawn {
  scene: Scene;
  type: CodeType;
  /** All of its values are there. */
  complete: boolean;
}

/** A palette, made anew only where it would be another. */
export class Palettes {
  private last: { map: ColourMap; type: CodeType; scale: Scale; pixels: Uint32Array } | null = null;

  of(map: ColourMap, type: CodeType, scale: Scale): Uint32Array {
    const { name, top, limit } = this.last?.scale ?? {};
    const same = name === scale.name && top === scale.top && (name === "fitted" || limit === scale.limit);
    if (this.last?.map !== map || this.last.type !== type || !same) {
      this.last = { map, type, scale, pixels: paletteOf(map, type, scale) };
    }
    return this.last.pixels;
  }
}

/** Brings the raster up to date, and asks for what is missing of what is seen. Null without a trace. */
export function sceneOf(
  looking: AttentionState,
  place: Source,
  data: HeadData,
  { row, failure, arrivals }: PanelState,
  raster: Raster,
  palettes: Palettes,
  { fitting, ratio, slanted, scrollX, scrollY }: Framing,
): Drawn | null {
  const trace = looking.trace();
  if (trace === null) {
    return null;
  }
  const { theme, map, selection } = looking.page.store.state;
  const { pointed, look } = looking.store.state;
  const { positions } = trace;
  const { cell, left, top, width, height } = fitting;
  const scale = scaleOf(looking.store.state);
  const type = codeTypeFor(positions, scale.name, look.valueWeighted);
  const rows = visibleSpan(scrollY, height, cell, positions);
  const columns = visibleSpan(scrollX, width, cell, positions);
  const complete = failure === null && data.want(rows, columns, type);
  const rowStop = looking.rows();
  const { window } = data;
  const paint = { palette: palettes.of(map, type, scale), blank: pixelOf(theme.surface), rowStop, window };
  raster.update(data, rows, columns, cell, type, paint, [arrivals, sourceKey(place, look), trace]);
  const lit = looking.lit();
  const scene: Scene = {
    theme,
    map,
    raster,
    type,
    scale,
    limit: data.largest,
    cell,
    scrollX,
    scrollY,
    rows,
    columns,
    rowStop,
    lit,
    labels: looking.labels(),
    pixelRatio: ratio,
    left,
    top,
    width,
    height,
    positions,
    window,
    promptLength: promptLength(trace),
    key: pointed?.key ?? null,
    fixed: selection.token,
    column: looking.store.state.column,
    named: row !== null && row.query === lit ? largestWeights(row, NAMED_KEYS).map(({ key }) => key) : [],
    slanted,
  };
  return { scene, type, complete };
}
