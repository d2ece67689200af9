// Pictures to save, numbers to copy: of what is shown, as it is looked at.

import { ICONS } from "../common/dom";
import { menuButton } from "../common/menu";
import { valuesOf } from "../common/tensor_values";
import type { ReadResult } from "../../src/shared/messages";
import type { AttentionState } from "./attention_state";
import { matrixHeader, matrixLines, rowCsv } from "../matrix/csv";
import type { Panels } from "./panels";
import { pngOf, svgOf } from "../matrix/picture_file";
import { readOf, sourceName, type Source } from "../matrix/source";

const ROWS = 256; // of a matrix, read at once
const URGENCY = 1;

export function outputMenu(looking: AttentionState, panels: Panels): HTMLElement {
  const { page, store } = looking;
  const { host } = page;

  function fileName(extension: string, of: readonly Source[]): string {
    const id = looking.trace()?.summary.trace_id ?? "trace";
    return `${id}_${of.map(sourceName).join("+")}.${extension}`;
  }

  /** What goes wrong is said where the view says it. */
  function attempt(what: string, work: () => Promise<void>): void {
    store.set({ notice: `Making ${what}…` });
    work().then(
      () => {
        store.set({ notice: "" });
      },
      (error: unknown) => {
        store.set({ notice: `No ${what}: ${error instanceof Error ? error.message : String(error)}` });
      },
    );
  }

  function savePicture(extension: "png" | "svg"): void {
    attempt(extension.toUpperCase(), async () => {
      const of = panels.shown().map(({ source }) => source);
      const make = extension === "png" ? pngOf : svgOf;
      const data = await make(looking, of, panels.columns());
      const encoding = extension === "png" ? "base64" : "text";
      host.post({ type: "save", name: fileName(extension, of), encoding, data });
    });
  }

  function copyRow(): void {
    const query = looking.lit();
    const source = looking.place();
    if (query === null || source === null) {
      return;
    }
    attempt("row", async () => {
      const values = await readRows(looking, source, [query, query + 1]);
      const text = rowCsv(looking.labels(), query, values);
      host.post({ type: "copy", text, what: `row ${query} of ${sourceName(source)}` });
    });
  }

  async function matrixText(source: Source): Promise<string> {
    const trace = looking.trace();
    const positions = trace?.positions ?? 0;
    const lines = [matrixHeader(looking.labels(), positions)];
    for (let first = 0; first < positions; first += ROWS) {
      const values = await readRows(looking, source, [first, Math.min(positions, first + ROWS)]);
      if (looking.trace() !== trace) {
        throw new Error("Another trace is shown by now.");
      }
      lines.push(...matrixLines(looking.labels(), first, values, positions));
    }
    return `${lines.join("\n")}\n`;
  }

  function withMatrix(give: (text: string, source: Source) => void): void {
    const source = looking.place();
    if (source !== null) {
      attempt("matrix", async () => {
        give(await matrixText(source), source);
      });
    }
  }

  return menuButton("Save or copy", ICONS.save, [
    {
      label: "Save picture as PNG…",
      run: () => {
        savePicture("png");
      },
    },
    {
      label: "Save picture as SVG…",
      run: () => {
        savePicture("svg");
      },
    },
    { label: "Copy chosen row as CSV", run: copyRow, enabled: () => looking.lit() !== null },
    {
      label: "Copy matrix as CSV",
      run: () => {
        withMatrix((text, source) => {
          host.post({ type: "copy", text, what: `matrix of ${sourceName(source)}` });
        });
      },
    },
    {
      label: "Save matrix as CSV…",
      run: () => {
        withMatrix((data, source) => {
          host.post({ type: "save", name: fileName("csv", [source]), encoding: "text", data });
        });
      },
    },
  ]);
}

/** Rows exactly as the trace has them, or as they are looked at. */
function readRows({ page, store }: AttentionState, source: Source, rows: [number, number]): Promise<Float32Array> {
  const read = readOf(source, store.state.look, { rows, encoding: "base64", dtype: "float32" });
  return new Promise((resolve, reject) => {
    const how = {
      urgency: URGENCY,
      done: (result: ReadResult<"get_tensor">) => {
        resolve(valuesOf(result));
      },
      failed: (message: string) => {
        reject(new Error(message));
      },
    };
    if (read.method === "get_tensor") {
      page.reads.ask({ ...read, ...how });
    } else {
      page.reads.ask({ ...read, ...how });
    }
  });
}
