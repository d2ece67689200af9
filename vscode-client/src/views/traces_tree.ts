// The tree of traces in the activity bar, kept as the store has them.

import {
  commands,
  EventEmitter,
  MarkdownString,
  window,
  type Disposable,
  type Event,
  type Memento,
  type TreeDataProvider,
  type TreeItem,
  type TreeView,
} from "vscode";
import { disposeAll, type Releasable } from "../disposables";
import type { TraceRow } from "../protocol";
import type { Store } from "../store";
import { RowCommands } from "./row_commands";
import { differences, type Difference } from "./trace_differences";
import { families, type Family } from "./trace_families";
import { untilMidnight } from "./trace_times";
import { facts, filtered, grouped, GROUPINGS, isGrouping, type Group, type Grouping } from "./tree_groups";
import { groupItem, traceItem } from "./tree_items";

interface Placed {
  parent: TreeNode | undefined;
  children: TreeNode[];
}
export type TreeNode = Placed & ({ kind: "group"; group: Group } | { kind: "trace"; row: TraceRow });

const GROUPING_KEY = "traces.groupBy";
const UNTOLD: Difference = { words: [], twin: false };
const MIDNIGHT_MS = 1_000; // a little later, so that the clock has surely moved on

export class TracesTree implements TreeDataProvider<TreeNode>, Disposable {
  private readonly emitter = new EventEmitter<void>();
  readonly onDidChangeTreeData: Event<void> = this.emitter.event;
  readonly view: TreeView<TreeNode>;
  private readonly rowCommands = new RowCommands();
  private readonly listeners: Releasable[];
  private words = "";
  private nodes: TreeNode[] = [];
  private byId = new Map<string, TreeNode>();
  private told = new Map<string, Difference>();
  private revealed: string | null = null;
  private midnight: NodeJS.Timeout | undefined;

  constructor(
    private readonly store: Store,
    private readonly memento: Memento,
  ) {
    this.view = window.createTreeView("nanoscope.traces", {
      treeDataProvider: this,
      showCollapseAll: true,
      canSelectMany: true,
    });
    this.listeners = [
      this.view,
      this.emitter,
      this.rowCommands,
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

  get grouping(): Grouping {
    const kept = this.memento.get<unknown>(GROUPING_KEY);
    return isGrouping(kept) ? kept : "category";
  }

  set grouping(grouping: Grouping) {
    void this.memento.update(GROUPING_KEY, grouping);
    this.revealed = null; // it stands elsewhere now
    this.show();
  }

  /** The trace so many rows further down, as the tree is shown now; null at its ends. */
  after(traceId: string | null, rows: number): string | null {
    const ids = [...this.byId.values()].flatMap((node) =>
      node.kind === "trace" && node.row.readable ? [node.row.trace_id] : [],
    );
    const place = traceId === null ? -1 : ids.indexOf(traceId);
    return ids[place === -1 ? 0 : place + rows] ?? null;
  }

  async getChildren(node?: TreeNode): Promise<TreeNode[]> {
    if (node !== undefined) {
      return node.children;
    }
    if (this.store.rows === undefined) {
      await this.store.refresh();
      this.regroup();
    }
    return this.nodes;
  }

  getParent(node: TreeNode): TreeNode | undefined {
    return node.parent;
  }

  getTreeItem(node: TreeNode): TreeItem {
    if (node.kind === "group") {
      return groupItem(node.group, this.grouping);
    }
    const difference = this.told.get(node.row.trace_id) ?? UNTOLD;
    const show = this.rowCommands.of(node.row.trace_id);
    return traceItem(node.row, difference, this.grouping, node.children.length, show);
  }

  /** Tooltips are made when they are looked at: there may be thousands. */
  resolveTreeItem(item: TreeItem, node: TreeNode): TreeItem {
    if (node.kind === "trace") {
      item.tooltip = tooltip(node.row);
    }
    return item;
  }

  dispose(): void {
    clearTimeout(this.midnight);
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
    const by = this.grouping;
    const now = new Date();
    this.told = differences(rows, now);
    this.byId = new Map();
    this.nodes = grouped(families(rows), by, now).map((group) => this.groupNode(group, by));
    this.view.message = this.words === "" ? "" : `“${this.words}”: ${rows.length} of ${all.length} traces`;
    this.view.description = by === "category" ? "" : `by ${GROUPINGS[by].title.toLowerCase()}`;
    clearTimeout(this.midnight);
    this.midnight = setTimeout(
      () => {
        this.show();
      },
      untilMidnight(now) + MIDNIGHT_MS,
    );
  }

  /** A prompt that one trace has needs no group. */
  private groupNode(group: Group, by: Grouping): TreeNode {
    const [only] = group.families;
    if (by === "prompt" && only?.row.readable === true && group.families.length === 1) {
      return this.traceNode(only, undefined);
    }
    const children: TreeNode[] = [];
    const node: TreeNode = { kind: "group", group, parent: undefined, children };
    children.push(...group.families.map((family) => this.traceNode(family, node)));
    return node;
  }

  private traceNode({ row, children: below }: Family, parent: TreeNode | undefined): TreeNode {
    const children: TreeNode[] = [];
    const node: TreeNode = { kind: "trace", row, parent, children };
    this.byId.set(row.trace_id, node);
    children.push(...below.map((family) => this.traceNode(family, node)));
    return node;
  }

  /** So that the tree shows which trace the other views are about, once: what was folded since then stays so. */
  private revealSelected(): void {
    const { traceId } = this.store.selection;
    const node = this.byId.get(traceId ?? "");
    if (node === undefined || traceId === this.revealed || !this.view.visible || this.view.selection.length > 1) {
      return;
    }
    this.revealed = traceId;
    if (this.view.selection.some((chosen) => chosen.kind === "trace" && chosen.row.trace_id === traceId)) {
      return; // it was clicked; what is revealed late would undo the selection of another row beside it
    }
    this.view.reveal(node, { select: true, focus: false }).then(undefined, () => {
      this.revealed = null; // the tree has moved on
    });
  }
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
