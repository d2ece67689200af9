// The tree of traces in the activity bar, kept as the store has them.

import {
  commands,
  EventEmitter,
  MarkdownString,
  ThemeColor,
  ThemeIcon,
  TreeItem,
  TreeItemCollapsibleState,
  window,
  type Disposable,
  type Event,
  type TreeDataProvider,
  type TreeView,
} from "vscode";
import { disposeAll, type Releasable } from "../disposables";
import type { TraceRow } from "../protocol";
import type { Store } from "../store";
import { description, facts, filtered, grouped, label, onOneLine, type Group } from "./tree_groups";

export type TreeNode = { kind: "category"; group: Group } | { kind: "trace"; row: TraceRow };

export class TracesTree implements TreeDataProvider<TreeNode>, Disposable {
  private readonly emitter = new EventEmitter<void>();
  readonly onDidChangeTreeData: Event<void> = this.emitter.event;
  readonly view: TreeView<TreeNode>;
  private readonly listeners: Releasable[];
  private words = "";
  private groups: { category: TreeNode; traces: TreeNode[] }[] = [];

  constructor(private readonly store: Store) {
    this.view = window.createTreeView("nanoscope.traces", {
      treeDataProvider: this,
      showCollapseAll: true,
      canSelectMany: true,
    });
    this.listeners = [
      this.view,
      this.emitter,
      store.onRows(() => {
        this.show();
      }),
      store.onSelection(() => {
        this.revealSelected();
      }),
      this.view.onDidChangeVisibility(() => {
        this.revealSelected();
      }),
    ];
  }

  get filter(): string {
    return this.words;
  }

  set filter(words: string) {
    this.words = words.trim();
    void commands.executeCommand("setContext", "nanoscope.filtered", this.words !== "");
    this.show();
  }

  /** The trace so many rows further down, as the tree is shown now; null at its ends. */
  after(traceId: string | null, rows: number): string | null {
    const ids = this.groups.flatMap(({ traces }) =>
      traces.flatMap((node) => (node.kind === "trace" && node.row.readable ? [node.row.trace_id] : [])),
    );
    const place = traceId === null ? -1 : ids.indexOf(traceId);
    return ids[place === -1 ? 0 : place + rows] ?? null;
  }

  async getChildren(node?: TreeNode): Promise<TreeNode[]> {
    if (node !== undefined) {
      return this.groups.find(({ category }) => category === node)?.traces ?? [];
    }
    if (this.store.rows === undefined) {
      await this.store.refresh();
      this.regroup();
    }
    return this.groups.map(({ category }) => category);
  }

  getParent(node: TreeNode): TreeNode | undefined {
    return this.groups.find(({ traces }) => traces.includes(node))?.category;
  }

  getTreeItem(node: TreeNode): TreeItem {
    return node.kind === "category" ? categoryItem(node.group) : traceItem(node.row);
  }

  /** Tooltips are made when they are looked at: there may be thousands. */
  resolveTreeItem(item: TreeItem, node: TreeNode): TreeItem {
    if (node.kind === "trace") {
      item.tooltip = tooltip(node.row);
    }
    return item;
  }

  dispose(): void {
    disposeAll(...this.listeners);
  }

  private show(): void {
    this.regroup();
    this.emitter.fire();
    this.revealSelected();
  }

  private regroup(): void {
    const all = this.store.rows ?? [];
    const rows = filtered(all, this.words);
    this.groups = grouped(rows).map((group) => ({
      category: { kind: "category", group },
      traces: group.rows.map((row) => ({ kind: "trace", row })),
    }));
    this.view.message = this.words === "" ? "" : `“${this.words}”: ${rows.length} of ${all.length} traces`;
  }

  /** So that the tree shows which trace the other views are about; it does not take the focus. */
  private revealSelected(): void {
    const { traceId } = this.store.selection;
    const node = this.groups
      .flatMap(({ traces }) => traces)
      .find((trace) => trace.kind === "trace" && trace.row.trace_id === traceId);
    if (node === undefined || !this.view.visible || this.view.selection.length > 1) {
      return;
    }
    this.view.reveal(node, { select: true, focus: false }).then(undefined, () => undefined); // the tree has moved on
  }
}

function categoryItem({ category, rows }: Group): TreeItem {
  const item = new TreeItem(category, TreeItemCollapsibleState.Expanded);
  item.id = `category ${category}`;
  item.description = String(rows.length);
  item.contextValue = "category";
  item.accessibilityInformation = {
    label: `Category ${category}, ${rows.length} ${rows.length === 1 ? "trace" : "traces"}`,
  };
  return item;
}

function traceItem(row: TraceRow): TreeItem {
  const item = new TreeItem(label(row), TreeItemCollapsibleState.None);
  item.id = row.trace_id;
  item.description = description(row);
  item.contextValue = (row.readable ? "trace" : "unreadable") + (row.format === "json" ? " text" : "");
  item.iconPath = row.readable
    ? new ThemeIcon("graph-scatter")
    : new ThemeIcon("warning", new ThemeColor("list.warningForeground"));
  item.command = { command: "nanoscope.showTrace", title: "Show Trace", arguments: [row.trace_id] };
  item.accessibilityInformation = { label: `${label(row)}: ${onOneLine(description(row))}. ${facts(row).join(". ")}` };
  return item;
}

function tooltip(row: TraceRow): MarkdownString {
  const text = new MarkdownString();
  if (row.readable) {
    text.appendCodeblock(`${row.prompt}\n→ ${row.response}`, "text");
  }
  for (const fact of facts(row)) {
    text.appendText(`${fact}\n`);
  }
  return text;
}
