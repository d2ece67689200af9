// Compare With...: two traces side by side, on a page of their own.

import path from "node:path";
import { commands, Uri, workspace } from "vscode";
import type { App, CommandTable } from "../app";
import { comparedTitle } from "../comparison_title";
import type { Folders } from "../connection/folders";
import type { GenerateAndCaptureResult, TraceRow } from "../protocol";
import type { TracePlace } from "../shared/compare_messages";
import { CAPTURE_AGAIN } from "../shared/messages";
import { ComparePages } from "../views/compare_pages";
import { TRACE_EDITOR, traceIdOf } from "../views/trace_editor";
import { onOneLine } from "../views/tree_groups";
import { pickTrace, traceRows } from "./trace_argument";

/** Given two places and a title. */
export const COMPARE_TRACES = "nanoscope.compareTraces";

interface Compared {
  place: TracePlace;
  prompt: string;
}

export function compareCommands(app: App, folders: Folders): CommandTable {
  const pages = new ComparePages(app.context.extensionUri, {
    daemon: app.daemon,
    folders,
    choose: async (instead) => {
      const row = await pickTrace(app, `Compare another trace instead of ${instead.traceId}`, instead.traceId);
      return row === undefined ? undefined : ofRow(row).place;
    },
    openTrace: (place) => void openTrace(app, place),
    capture: async (trace, layers) => {
      const options = { show: false, ...(layers === undefined ? {} : { layers }) };
      const captured = await commands.executeCommand<GenerateAndCaptureResult | undefined>(
        CAPTURE_AGAIN,
        trace,
        options,
      );
      return captured && { folder: path.dirname(captured.path), traceId: captured.trace_id };
    },
  });
  app.context.subscriptions.push(pages);
  return {
    [COMPARE_TRACES]: (one, other, title) => pages.open(one as TracePlace, other as TracePlace, String(title)),
    "nanoscope.compareWith": async (first, selected) => {
      const [one, second] = await comparedOf(app, first, selected);
      if (one === undefined) {
        return;
      }
      const title = `Compare “${onOneLine(one.prompt)}” with`;
      const other = second ?? (await picked(app, title, one.place.traceId));
      if (other !== undefined) {
        await pages.open(one.place, other.place, comparedTitle(one.prompt, other.prompt));
      }
    },
  };
}

/** Files may lie anywhere; rows of the tree are in the session's folder. */
async function comparedOf(app: App, first: unknown, selected: unknown): Promise<Compared[]> {
  const files = (Array.isArray(selected) ? selected : [first]).filter((given) => given instanceof Uri);
  if (files.length > 0) {
    return files.map(({ fsPath }) => ofFile(app, fsPath));
  }
  const chosen = first === undefined ? app.tree.view.selection : selected;
  return (await traceRows(app, first, chosen)).map(ofRow);
}

function ofFile(app: App, file: string): Compared {
  const traceId = traceIdOf(file);
  const row = app.store.row(traceId);
  return { place: { folder: path.dirname(file), traceId }, prompt: row?.path === file ? row.prompt : traceId };
}

function ofRow(row: TraceRow): Compared {
  return { place: { folder: path.dirname(row.path), traceId: row.trace_id }, prompt: row.prompt };
}

async function picked(app: App, title: string, except: string): Promise<Compared | undefined> {
  const row = await pickTrace(app, title, except);
  return row === undefined ? undefined : ofRow(row);
}

async function openTrace(app: App, { folder, traceId }: TracePlace): Promise<void> {
  const row = app.store.row(traceId);
  const known = row !== undefined && path.dirname(row.path) === folder;
  const files = known ? [row.path] : ["safetensors", "json"].map((format) => path.join(folder, `${traceId}.${format}`));
  for (const uri of files.map((file) => Uri.file(file))) {
    const there = await workspace.fs.stat(uri).then(
      () => true,
      () => false,
    );
    if (there) {
      await commands.executeCommand("vscode.openWith", uri, TRACE_EDITOR);
      return;
    }
  }
}
