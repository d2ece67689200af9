// Commands about traces: show, open, analyze, delete, reveal, copy, export, list anew, filter.

import path from "node:path";
import { commands, env, TabInputCustom, Uri, UIKind, window, workspace } from "vscode";
import type { App, CommandTable } from "../app";
import { problemOf } from "../problems";
import type { TraceRow } from "../protocol";
import { TRACE_EDITOR } from "../views/trace_editor";
import { onOneLine } from "../views/tree_groups";
import { givenIds, traceRows } from "./trace_argument";

export function traceCommands(app: App): CommandTable {
  return {
    "nanoscope.showTrace": async (given) => {
      const [clickedId] = givenIds(given);
      if (clickedId !== undefined) {
        await clicked(app, clickedId);
        return;
      }
      const [row] = await traceRows(app, given);
      if (row !== undefined) {
        app.tabs.show(row.trace_id, { focus: true });
      }
    },
    "nanoscope.nextTrace": () => {
      step(app, 1);
    },
    "nanoscope.previousTrace": () => {
      step(app, -1);
    },
    "nanoscope.analyze": async (given) => {
      const [row] = await traceRows(app, given);
      if (row !== undefined) {
        app.tabs.show(row.trace_id, { focus: true, part: "layers" });
      }
    },
    "nanoscope.openTrace": async (first, selected) => {
      for (const row of await traceRows(app, first, selected)) {
        await openFile(row);
      }
    },
    "nanoscope.openAsText": async (given) => {
      const uri = given instanceof Uri ? given : rowUri((await traceRows(app, given))[0]);
      if (uri !== undefined) {
        await commands.executeCommand("vscode.openWith", uri, "default");
      }
    },
    "nanoscope.deleteTrace": async (first, selected) => {
      await deleteTraces(
        app,
        await traceRows(app, first, selected ?? (first === undefined ? app.tree.view.selection : [])),
      );
    },
    "nanoscope.revealFile": async (given) => {
      const uri = rowUri((await traceRows(app, given))[0]);
      if (uri !== undefined) {
        await reveal(uri);
      }
    },
    "nanoscope.copyId": async (first, selected) => {
      const rows = await traceRows(app, first, selected);
      await env.clipboard.writeText(rows.map(({ trace_id }) => trace_id).join("\n"));
    },
    "nanoscope.exportTrace": async (given) => {
      const [row] = await traceRows(app, given);
      if (row !== undefined) {
        await exportTrace(row);
      }
    },
    "nanoscope.refresh": async () => {
      app.daemon.connect();
      await Promise.all([app.store.refresh(), app.store.trace.read()]);
    },
    "nanoscope.filter": () => {
      filter(app);
    },
    "nanoscope.clearFilter": () => {
      app.tree.filter = "";
    },
  };
}

const DOUBLE_CLICK_MS = 400;
const lastClick = { traceId: "", at: 0 };

/** A click shows the trace in the tab that all share; the second of a double click keeps that for it. */
async function clicked(app: App, traceId: string): Promise<void> {
  const keep = lastClick.traceId === traceId && Date.now() - lastClick.at < DOUBLE_CLICK_MS;
  Object.assign(lastClick, { traceId, at: Date.now() });
  const row = app.store.row(traceId);
  if (row !== undefined && isOpen(row)) {
    await openFile(row, { preserveFocus: !keep });
  } else {
    app.tabs.show(traceId, { keep });
  }
}

async function openFile(row: TraceRow, options: { preserveFocus?: boolean } = {}): Promise<void> {
  await commands.executeCommand("vscode.openWith", Uri.file(row.path), TRACE_EDITOR, {
    preview: false,
    ...options,
  });
}

/** Whether its file has a tab of its own. */
function isOpen(row: TraceRow): boolean {
  return window.tabGroups.all.some(({ tabs }) =>
    tabs.some(({ input }) => input instanceof TabInputCustom && input.uri.fsPath === row.path),
  );
}

/** The trace so many rows further down the tree. */
function step(app: App, rows: number): void {
  const traceId = app.tree.after(app.store.selection.traceId, rows);
  if (traceId !== null) {
    app.tabs.show(traceId, { focus: true });
  }
}

function rowUri(row: TraceRow | undefined): Uri | undefined {
  return row === undefined ? undefined : Uri.file(row.path);
}

async function deleteTraces(app: App, rows: readonly TraceRow[]): Promise<void> {
  const [first] = rows;
  if (first === undefined) {
    return;
  }
  const what = rows.length === 1 ? `“${onOneLine(first.prompt) || first.trace_id}”` : `${rows.length} traces`;
  const detail = `${rows.length === 1 ? `${first.path} is` : "Their files are"} removed from the disk. This cannot be undone.`;
  const answer = await window.showWarningMessage(`Delete ${what}?`, { modal: true, detail }, "Delete");
  if (answer === undefined) {
    return;
  }
  for (const { trace_id } of rows) {
    try {
      await app.daemon.request("delete_trace", { trace_id });
    } catch (error) {
      if (problemOf(error).name !== "TRACE_NOT_FOUND") {
        throw error;
      } // else somebody was faster
    }
  }
  await app.store.refresh();
}

/** In the explorer where it lies in the workspace, else in the file manager, where there is one. */
async function reveal(uri: Uri): Promise<void> {
  if (workspace.getWorkspaceFolder(uri) !== undefined) {
    await commands.executeCommand("revealInExplorer", uri);
  } else if (env.uiKind === UIKind.Desktop && env.remoteName === undefined) {
    await commands.executeCommand("revealFileInOS", uri);
  } else {
    await env.clipboard.writeText(uri.fsPath);
    void window.showInformationMessage(`${uri.fsPath} lies outside the workspace; its path is in the clipboard.`);
  }
}

async function exportTrace(row: TraceRow): Promise<void> {
  const source = Uri.file(row.path);
  const folder = workspace.workspaceFolders?.[0]?.uri ?? Uri.file(path.dirname(row.path));
  const target = await window.showSaveDialog({
    title: "Export Trace",
    defaultUri: Uri.joinPath(folder, path.basename(row.path)),
    filters: row.format === "json" ? { JSON: ["json"] } : { safetensors: ["safetensors"] },
  });
  if (target !== undefined && target.toString() !== source.toString()) {
    await workspace.fs.copy(source, target, { overwrite: true });
  }
}

function filter(app: App): void {
  const box = window.createInputBox();
  const before = app.tree.filter;
  let accepted = false;
  box.title = "Filter Traces";
  box.placeholder = "Words of a prompt, response, category or id";
  box.value = before;
  box.onDidChangeValue((value) => {
    app.tree.filter = value;
  });
  box.onDidAccept(() => {
    accepted = true;
    box.hide();
  });
  box.onDidHide(() => {
    if (!accepted) {
      app.tree.filter = before;
    }
    box.dispose();
  });
  box.show();
}
