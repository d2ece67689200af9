// Which trace a command is about: a tree row's, a file's, a code lens's, or one that the user picks.

import { QuickPickItemKind, Uri, window, type QuickPickItem } from "vscode";
import type { App } from "../app";
import type { TraceRow } from "../protocol";
import { traceIdOf } from "../views/trace_editor";
import { description, facts, label } from "../views/tree_groups";
import type { TreeNode } from "../views/traces_tree";

/** Ids that were given, by a tree row with those selected besides it, or otherwise; empty where none was. */
export function givenIds(first: unknown, selected?: unknown): string[] {
  const nodes = Array.isArray(selected) && selected.length > 0 ? (selected as unknown[]) : [first];
  return nodes.flatMap((node) => {
    if (typeof node === "string") {
      return [node];
    }
    if (node instanceof Uri) {
      return [traceIdOf(node.fsPath)];
    }
    return isTreeNode(node) && node.kind === "trace" ? [node.row.trace_id] : [];
  });
}

/** The rows that a command is about; without any given, the selected trace, or one that is picked. */
export async function traceRows(app: App, first: unknown, selected?: unknown): Promise<TraceRow[]> {
  if (app.store.rows === undefined) {
    await app.store.refresh();
  }
  const given = givenIds(first, selected);
  const ids = given.length > 0 ? given : [app.store.selection.traceId];
  const rows = ids.flatMap((id) => app.store.row(id) ?? []);
  if (rows.length > 0 || given.length > 0) {
    return rows;
  }
  const picked = await pickTrace(app, "Choose a trace");
  return picked === undefined ? [] : [picked];
}

export async function pickTrace(app: App, title: string, except?: string): Promise<TraceRow | undefined> {
  if (app.store.rows === undefined) {
    await app.store.refresh();
  }
  if (app.store.problem !== undefined && app.store.rows === undefined) {
    throw app.store.problem;
  }
  const rows = (app.store.rows ?? []).filter(({ trace_id, readable }) => readable && trace_id !== except);
  type Item = QuickPickItem & { row?: TraceRow };
  const items: Item[] = rows.map((row) => ({
    label: label(row),
    description: description(row),
    detail: [row.category ?? "general", ...facts(row)].join(" · "),
    row,
  }));
  const none: Item[] = [{ label: "There is no other trace yet: capture one.", kind: QuickPickItemKind.Separator }];
  const picked = await window.showQuickPick(items.length > 0 ? items : none, {
    title,
    matchOnDescription: true,
    matchOnDetail: true,
  });
  return picked?.row;
}

function isTreeNode(value: unknown): value is TreeNode {
  return typeof value === "object" && value !== null && "kind" in value;
}
