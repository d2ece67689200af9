// The traces tree without the tree: rows by category, newest first, filtered, and the words of each row.

import type { TraceRow } from "../protocol";

export interface Group {
  category: string;
  rows: readonly TraceRow[];
}

const UNREADABLE = "unreadable";
const LABEL_LENGTH = 80;

/** Groups in the order of their newest traces; what cannot be read comes last. Within a group the rows' order stays. */
export function grouped(rows: readonly TraceRow[]): Group[] {
  const groups = new Map<string, TraceRow[]>();
  for (const row of rows) {
    const category = row.readable ? (row.category ?? "general") : UNREADABLE;
    const group = groups.get(category);
    if (group === undefined) {
      groups.set(category, [row]);
    } else {
      group.push(row);
    }
  }
  const list = [...groups].map(([category, members]) => ({ category, rows: members }));
  const last = list.filter(({ rows: [row] }) => row?.readable === false);
  return [...list.filter((group) => !last.includes(group)), ...last];
}

/** Rows whose prompt, response, category or id has all words of the filter; case does not matter. */
export function filtered(rows: readonly TraceRow[], filter: string): readonly TraceRow[] {
  const words = filter.toLowerCase().split(/\s+/).filter(Boolean);
  if (words.length === 0) {
    return rows;
  }
  return rows.filter(({ prompt, response, category, trace_id }) => {
    const text = `${prompt}\n${response}\n${category ?? ""}\n${trace_id}`.toLowerCase();
    return words.every((word) => text.includes(word));
  });
}

export function label(row: TraceRow): string {
  return row.readable ? onOneLine(row.prompt) || "(no prompt)" : row.trace_id;
}

export function description(row: TraceRow): string {
  return row.readable ? onOneLine(row.response) : row.reason;
}

/** Counts and time, one a line. */
export function facts(row: TraceRow): string[] {
  const written = row.timestamp === "" ? [] : [madeAt(row.timestamp)];
  const file = `${row.trace_id}.${row.format}, ${humanSize(row.size)}`;
  if (!row.readable) {
    return [row.reason, file];
  }
  const tokens = row.prompt_tokens === 1 ? "token" : "tokens";
  return [`${row.prompt_tokens} ${tokens} of prompt, ${row.response_tokens} of response`, ...written, file];
}

/** In the reader's zone where the trace tells its own; otherwise as it stands, since nobody knows of which zone it is. */
export function madeAt(timestamp: string): string {
  const time = new Date(/(?:Z|[+-]\d\d:?\d\d)$/.test(timestamp) ? timestamp : "");
  if (Number.isNaN(time.getTime())) {
    return timestamp.replace("T", " ").replace(/\.\d+$/, "");
  }
  const local = new Date(time.getTime() - time.getTimezoneOffset() * 60_000);
  return local.toISOString().slice(0, 19).replace("T", " ");
}

export function onOneLine(text: string): string {
  const line = text.trim().replace(/\s+/g, " ");
  return line.length > LABEL_LENGTH ? `${line.slice(0, LABEL_LENGTH - 1)}…` : line;
}

export function humanSize(bytes: number): string {
  const units = ["bytes", "kB", "MB", "GB"];
  let size = bytes;
  let unit = 0;
  while (size >= 1000 && unit < units.length - 1) {
    size /= 1000;
    unit += 1;
  }
  return `${unit === 0 ? size : size.toFixed(1)} ${units[unit] ?? ""}`;
}
