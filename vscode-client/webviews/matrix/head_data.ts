// The chosen head's weights: tiles for the picture, exact rows for the numbers, asked for when shown.

import type { GetTensorResult } from "../../src/protocol";
import type { TraceReads } from "../common/trace_reads";
import { codesOf, codeValue, valuesOf, type Codes, type CodeType } from "../common/tensor_values";
import type { Span } from "./matrix_layout";
import { ReadWeights } from "./read_weights";
import type { RowValues } from "./row_values";
import {
  AS_IT_IS,
  askFor,
  isPlain,
  knownOf,
  layersKey,
  readOf,
  sourceKey,
  type Look,
  type Source,
  type SourceRead,
} from "./source";
import { rowPart, tilePart } from "../../src/shared/first_reads";
import { tileName, tilesOf, windowOf, type Tile } from "../../src/shared/tiles";

const URGENCY = { window: 3, row: 2, tile: 1, ahead: 0 };

export interface HeadDataEvents {
  /** Tiles came. */
  arrived: () => void;
  row: (row: RowValues) => void;
  failed: (message: string) => void;
}

interface Wanted {
  name: string;
  takeBack: () => void;
}

export class HeadData {
  private place: Source | null = null;
  private look = AS_IT_IS;
  private positions = 0;
  private wantedTiles: Wanted[] = [];
  private aheadTiles: Wanted[] = [];
  private wantedRow: Wanted | null = null;

  constructor(
    private readonly reads: TraceReads,
    private readonly events: HeadDataEvents,
    private readonly read = new ReadWeights(),
  ) {}

  /** Another trace: nothing that was read holds. */
  open(positions: number): void {
    this.positions = positions;
    this.read.clear();
    this.wantedTiles = [];
    this.aheadTiles = [];
    this.wantedRow = null;
    this.place = null;
  }

  /** A part of the same trace for somebody else, who shares what was read. */
  show(positions: number, source: Source, look: Look): void {
    this.positions = positions;
    this.choose(source, look);
  }

  /** Another head: what was asked for of the one before is taken back, but what was fetched ahead for this one. */
  choose(place: Source | null, look = AS_IT_IS): void {
    this.takeBack();
    this.place = place;
    this.look = look;
    const own = place === null ? "" : this.keyOf(place);
    this.wantedTiles = place === null ? [] : this.aheadTiles.filter(({ name }) => name.startsWith(own));
    takeBackAll(this.aheadTiles.filter((one) => !this.wantedTiles.includes(one)));
    this.aheadTiles = [];
    if (place !== null && !this.read.windows.has(layersKey(place)) && this.positions > 0) {
      this.askWindow(place);
    }
  }

  takeBack(): void {
    takeBackAll([...this.wantedTiles, ...(this.wantedRow === null ? [] : [this.wantedRow])]);
    this.wantedTiles = [];
    this.wantedRow = null;
  }

  /** How far back the layer's queries see; everything, until it is known. */
  get window(): number {
    return (this.place === null ? undefined : this.read.windows.get(layersKey(this.place))) ?? this.positions;
  }

  /** The largest that a value can be. */
  get largest(): number {
    return this.look.valueWeighted ? Infinity : 1;
  }

  /** Ask for what is not there of a part of the matrix; true where all of it is. */
  want(rows: Span, columns: Span, type: CodeType): boolean {
    const { place } = this;
    if (place === null) {
      return false;
    }
    const missing = this.tilesIn(rows, columns).filter((tile) => !this.isThere(place, tile, type));
    const names = new Set(missing.map((tile) => this.key(place, tile, type)));
    takeBackAll(this.wantedTiles.filter((wanted) => !names.has(wanted.name)));
    this.wantedTiles = this.wantedTiles.filter((wanted) => names.has(wanted.name));
    const asked = new Set(this.wantedTiles.map((wanted) => wanted.name));
    for (const tile of missing.filter((one) => !asked.has(this.key(place, one, type)))) {
      this.wantedTiles.push(this.askTile(place, tile, type, URGENCY.tile));
    }
    return missing.length === 0;
  }

  /** Ask for the same part of heads that are likely to be chosen next, once nothing of the chosen one is missing. */
  fetchAhead(places: readonly Source[], rows: Span, columns: Span, type: CodeType): void {
    for (const place of places) {
      for (const tile of this.tilesIn(rows, columns)) {
        const name = this.key(place, tile, type);
        if (!this.read.tiles.has(name) && !this.aheadTiles.some((one) => one.name === name)) {
          this.aheadTiles.push(this.askTile(place, tile, type, URGENCY.ahead));
        }
      }
    }
  }

  /** Tiles that are there of a part of the matrix. */
  *loaded(rows: Span, columns: Span, type: CodeType): Generator<[Tile, Codes]> {
    if (this.place === null) {
      return;
    }
    for (const tile of this.tilesIn(rows, columns)) {
      const codes = this.read.tiles.get(this.key(this.place, tile, type));
      if (codes !== undefined) {
        yield [tile, codes];
      }
    }
  }

  /** A row: exact where it was read before, else from the tiles and asked for, else asked for; null: nothing yet. */
  row(query: number, type: CodeType): RowValues | null {
    const { place } = this;
    if (place === null || query < 0 || query >= this.positions) {
      return null;
    }
    const exact = this.read.rows.get(this.rowKey(place, query));
    if (exact !== undefined) {
      this.forgetRow("");
      return { ...place, query, values: exact, exact: true };
    }
    this.askRow(place, query);
    return this.roughRow(place, query, type);
  }

  private roughRow(place: Source, query: number, type: CodeType): RowValues | null {
    const values = new Float32Array(this.positions);
    let covered = 0;
    for (const [tile, codes] of this.loaded([query, query + 1], [0, query + 1], type)) {
      const [first, stop] = tile.columns;
      const from = (query - tile.rows[0]) * (stop - first);
      for (let key = first; key < stop; key++) {
        values[key] = codeValue(codes[from + key - first] ?? 0, type, this.largest);
      }
      covered += stop - first;
    }
    return covered === 0 ? null : { ...place, query, values, exact: false };
  }

  private tilesIn(rows: Span, columns: Span): Tile[] {
    return tilesOf(rows, columns, this.positions, this.window);
  }

  private key(place: Source, tile: Tile, type: CodeType): string {
    return `${this.keyOf(place)}${type}.${tileName(tile)}`;
  }

  private isThere(place: Source, tile: Tile, type: CodeType): boolean {
    const name = this.key(place, tile, type);
    if (!this.read.tiles.has(name)) {
      const given = knownOf(this.reads, readOf(place, this.look, tilePart(tile, type)));
      if (given === undefined) {
        return false;
      }
      this.read.tiles.set(name, codesOf(given));
    }
    return true;
  }

  private askTile(place: Source, tile: Tile, type: CodeType, urgency: number): Wanted {
    const name = this.key(place, tile, type);
    const settled = (): void => {
      this.wantedTiles = this.wantedTiles.filter((wanted) => wanted.name !== name);
      this.aheadTiles = this.aheadTiles.filter((wanted) => wanted.name !== name);
    };
    const takeBack = askFor(this.reads, readOf(place, this.look, tilePart(tile, type)), {
      urgency,
      done: (result) => {
        settled();
        this.read.tiles.set(name, codesOf(result));
        if (this.isOfChosen(name)) {
          this.events.arrived();
        }
      },
      failed: (message) => {
        settled();
        if (this.isOfChosen(name)) {
          this.events.failed(message);
        }
      },
    });
    return { name, takeBack };
  }

  /** What the names of its tiles and rows begin with. */
  private keyOf(place: Source): string {
    return sourceKey(place, this.look);
  }

  private rowKey(place: Source, query: number): string {
    return `${this.keyOf(place)}${query}`;
  }

  private isOfChosen(name: string): boolean {
    return this.place !== null && name.startsWith(this.keyOf(this.place));
  }

  private forgetRow(name: string): void {
    if (this.wantedRow !== null && this.wantedRow.name !== name) {
      this.wantedRow.takeBack();
      this.wantedRow = null;
    }
  }

  private askRow(place: Source, query: number): void {
    const name = this.rowKey(place, query);
    this.forgetRow(name);
    if (this.wantedRow !== null) {
      return;
    }
    const takeBack = askFor(this.reads, exactRow(place, this.look, query), {
      urgency: URGENCY.row,
      done: (result) => {
        const values = valuesOf(result);
        this.read.rows.set(name, values);
        this.wantedRow = null;
        this.events.row({ ...place, query, values, exact: true });
      },
      failed: (message) => {
        this.wantedRow = null;
        this.events.failed(message);
      },
    });
    this.wantedRow = { name, takeBack };
  }

  /** The last row tells how far back the layer sees. */
  private askWindow(place: Source): void {
    const last = this.positions - 1;
    const key = this.rowKey(place, last);
    const keep = (result: GetTensorResult): void => {
      const values = valuesOf(result);
      if (isPlain(this.look)) {
        this.read.rows.set(key, values);
      }
      this.read.windows.set(layersKey(place), windowOf(values));
    };
    const read = exactRow(place, AS_IT_IS, last);
    const given = knownOf(this.reads, read);
    if (given !== undefined) {
      keep(given);
      return;
    }
    askFor(this.reads, read, {
      urgency: URGENCY.window,
      done: (result) => {
        keep(result);
        this.events.arrived();
      },
      failed: () => undefined,
    });
  }
}

/** The last first, so that none of them gets the place of one before it. */
function takeBackAll(wanted: readonly Wanted[]): void {
  for (const one of [...wanted].reverse()) {
    one.takeBack();
  }
}

function exactRow(place: Source, look: Look, query: number): SourceRead {
  return readOf(place, look, rowPart(query));
}
