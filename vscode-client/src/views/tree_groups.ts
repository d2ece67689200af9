// The traces tree without the tree: rows in groups, newest first, filtered, and the words of each row.

import type { TraceRow } from "../protocol";
import { madeWith, type Difference } from "./trace_differences";
import { members, type Family } from "./trace_families";
import { spanOf } from "./trace_times";

export interface Group {
  /** Told apart by it, even where two read the same. */
  key: string;
  name: string;
  families: readonly Family[];
  /** Rows, descendants included. */
  count: number;
}

const UNREADABLE = "unreadable";
const LABEL_LENGTH = 80;
const CHARACTERS = new Intl.Segmenter();
const TWIN_LENGTH = 24; // so that what tells twins apart is in sight where the side bar is narrow

interface Place {
  key: string;
  rank?: number;
}

/** How rows may be grouped, by the name that is kept; `rank`: groups of a higher one stand before those of a lower. */
export const GROUPINGS = {
  category: { title: "Category", of: ({ category }: TraceRow): Place => ({ key: category ?? "general" }) },
  time: {
    title: "Time",
    of: ({ timestamp }: TraceRow, now: Date): Place => {
      const { name, rank } = spanOf(timestamp, now);
      return { key: name, rank };
    },
  },
  model: {
    title: "Model",
    of: ({ model }: TraceRow): Place => (model == null ? { key: "No Model Named", rank: -1 } : { key: model }),
  },
  prompt: { title: "Prompt", of: ({ prompt }: TraceRow): Place => ({ key: prompt }) },
} as const;

export type Grouping = keyof typeof GROUPINGS;

export function isGrouping(value: unknown): value is Grouping {
  return typeof value === "string" && Object.hasOwn(GROUPINGS, value);
}

/** Groups in the order of their newest traces; what cannot be read comes last. Within a group the rows' order stays. */
export function grouped(rows: readonly Family[], by: Grouping, now: Date): Group[] {
  const groups = new Map<string, { key: string; rank: number; families: Family[] }>();
  for (const family of rows) {
    const { row } = family;
    const { key, rank = 0 } = row.readable ? GROUPINGS[by].of(row, now) : { key: UNREADABLE, rank: -2 };
    const place = row.readable ? `readable ${key}` : UNREADABLE;
    const group = groups.get(place);
    if (group === undefined) {
      groups.set(place, { key: place, rank, families: [family] });
    } else {
      group.families.push(family);
    }
  }
  return [...groups.values()]
    .sort((one, other) => other.rank - one.rank)
    .map(({ key, families }) => ({
      key,
      name: key === UNREADABLE ? UNREADABLE : onOneLine(key.slice("readable ".length)) || "(no prompt)",
      families,
      count: families.flatMap(members).length,
    }));
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

/** Label and description of a row of the tree: under its prompt it need not repeat that. */
export function rowWords(row: TraceRow, { words, twin }: Difference, by: Grouping): { label: string; rest: string } {
  if (!row.readable) {
    return { label: label(row), rest: row.reason };
  }
  const told = words.filter((word) => by !== "model" || word !== row.model).join(" · ");
  const response = onOneLine(row.response);
  if (by === "prompt" && twin) {
    return { label: response || "(no response)", rest: told };
  }
  const rest = [told, response].filter((part) => part !== "").join(" → ");
  return { label: twin ? clippedInside(label(row), TWIN_LENGTH) : label(row), rest };
}

/** Counts and time, one a line. */
export function facts(row: TraceRow): string[] {
  const written = row.timestamp === "" ? [] : [madeAt(row.timestamp)];
  const file = `${row.trace_id}.${row.format}, ${humanSize(row.size)}`;
  if (!row.readable) {
    return [row.reason, file];
  }
  const tokens = row.prompt_tokens === 1 ? "token" : "tokens";
  const made = madeWith(row);
  const counts = `${row.prompt_tokens} ${tokens} of prompt, ${row.response_tokens} of response`;
  return [counts, ...(made === "" ? [] : [made]), ...written, file];
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

/** Without its middle: prompts that begin alike often end differently. */
export function clippedInside(text: string, length: number): string {
  if (text.length <= length) {
    return text;
  }
  const characters = Array.from(CHARACTERS.segment(text), ({ segment }) => segment);
  const end = Math.floor(length * 0.4);
  return characters.length <= length
    ? text
    : `${characters.slice(0, length - 1 - end).join("")}…${characters.slice(-end).join("")}`;
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
