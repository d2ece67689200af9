// A matrix in tiles: which ones a part of it needs.

/** [first, stop) */
export type Span = readonly [number, number];

export const TILE_ROWS = 256;
export const TILE_COLUMNS = 1024;

export interface Tile {
  rows: Span;
  columns: Span;
}

/** Tiles that have cells to show: those wholly masked are left out, and columns past the last row's own position. */
export function tilesOf(rows: Span, columns: Span, positions: number, window: number): Tile[] {
  const tiles: Tile[] = [];
  for (const tileRows of pieces(rows, TILE_ROWS, positions)) {
    for (const [start, stop] of pieces(columns, TILE_COLUMNS, positions)) {
      const tile: Tile = { rows: tileRows, columns: [start, Math.min(stop, tileRows[1])] };
      if (tile.columns[0] < tile.columns[1] && hasCells(tile, window)) {
        tiles.push(tile);
      }
    }
  }
  return tiles;
}

function pieces([first, stop]: Span, size: number, positions: number): Span[] {
  const found: Span[] = [];
  for (let start = Math.floor(first / size) * size; start < stop; start += size) {
    found.push([start, Math.min(start + size, positions)]);
  }
  return found;
}

/** Some key of the tile is seen by some query of it. */
function hasCells({ rows, columns }: Tile, window: number): boolean {
  return columns[0] < rows[1] && columns[1] - 1 >= rows[0] - window;
}

export function tileName({ rows, columns }: Tile): string {
  return `${rows[0]}.${columns[0]}`;
}

/** How far back the queries see, from the last row: before the window it has zeros and nothing else. */
export function windowOf(lastRow: ArrayLike<number>): number {
  let first = 0;
  while (first < lastRow.length - 1 && lastRow[first] === 0) {
    first++;
  }
  return first === 0 ? lastRow.length : lastRow.length - 1 - first;
}
