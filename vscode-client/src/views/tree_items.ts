// What VS Code shows of a node of the traces tree.

import { createHash } from "node:crypto";
import { ThemeColor, ThemeIcon, TreeItem, TreeItemCollapsibleState, type Command } from "vscode";
import type { TraceRow } from "../protocol";
import type { Difference } from "./trace_differences";
import { facts, GROUPINGS, rowWords, type Group, type Grouping } from "./tree_groups";

/** Its id keeps it folded, or not, while traces come and go. */
export function groupItem({ key, name, count }: Group, by: Grouping): TreeItem {
  const item = new TreeItem(name, TreeItemCollapsibleState.Expanded);
  item.id = `${by} ${createHash("sha1").update(key).digest("hex")}`; // a prompt may be long
  item.description = String(count);
  item.contextValue = "category";
  item.accessibilityInformation = {
    label: `${GROUPINGS[by].title} ${name}, ${count} ${count === 1 ? "trace" : "traces"}`,
  };
  return item;
}

/** `show`: what a click does. */
export function traceItem(
  row: TraceRow,
  difference: Difference,
  by: Grouping,
  children: number,
  show: Command,
): TreeItem {
  const { label, rest } = rowWords(row, difference, by);
  const item = new TreeItem(label, children === 0 ? TreeItemCollapsibleState.None : TreeItemCollapsibleState.Expanded);
  item.id = row.trace_id;
  item.description = rest;
  item.contextValue = (row.readable ? "trace" : "unreadable") + (row.format === "json" ? " text" : "");
  if (!row.readable) {
    item.iconPath = new ThemeIcon("warning", new ThemeColor("list.warningForeground"));
  } // else none: one that all rows have would take the room of what tells them apart
  item.command = show;
  const below = children === 0 ? "" : ` ${children} made from it.`;
  item.accessibilityInformation = { label: `${label}: ${rest}. ${facts(row).join(". ")}.${below}` };
  return item;
}
