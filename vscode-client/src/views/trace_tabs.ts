// The tabs that show traces of the tree: one that is used again for the next trace, as a file's preview is, and those
// that were kept.

import { Uri, ViewColumn, window, type Disposable, type WebviewPanel, type WebviewPanelSerializer } from "vscode";
import { disposeAll, type Releasable } from "../disposables";
import { OpenTrace } from "../open_trace";
import type { PagePart } from "../shared/messages";
import type { Store } from "../store";
import { onOneLine } from "./tree_groups";
import { TracePanel } from "./trace_panel";
import { page, WEBVIEW_OPTIONS } from "./webview_page";

export const TRACE_TAB = "nanoscope.trace";
const OPTIONS = { ...WEBVIEW_OPTIONS, retainContextWhenHidden: true, enableFindWidget: false };
const TITLE_LENGTH = 32;

/** A trace's name on a tab: its prompt, as the trace or the list of traces has it, else its id. */
export function tabTitle({ data, traceId }: OpenTrace, listed = ""): string {
  const prompt = onOneLine(data?.summary.prompt ?? listed) || (traceId ?? "Trace");
  return prompt.length > TITLE_LENGTH ? `${prompt.slice(0, TITLE_LENGTH - 1)}…` : prompt;
}

interface Shown {
  panel: WebviewPanel;
  open: OpenTrace;
  view: TracePanel;
}

export class TraceTabs implements Disposable, WebviewPanelSerializer {
  private readonly all = new Set<Shown>();
  /** The one that is used again. */
  private preview: Shown | undefined;
  private readonly registered: Releasable[];

  constructor(
    private readonly extension: Uri,
    private readonly store: Store,
  ) {
    this.registered = [window.registerWebviewPanelSerializer(TRACE_TAB, this)];
  }

  /**
   * Shows a trace, in the tab that has it where one does.
   *
   * @param focus else that stays where it is
   * @param keep the next trace gets another tab
   */
  show(
    traceId: string,
    { focus = false, keep = false, part }: { focus?: boolean; keep?: boolean; part?: PagePart } = {},
  ): void {
    const before = [...this.all].find(({ open }) => open.traceId === traceId) ?? this.preview;
    const shown = before ?? this.take(this.create());
    shown.open.show(traceId);
    if (before !== undefined && (focus || !shown.panel.visible)) {
      shown.panel.reveal(undefined, !focus);
    }
    this.store.select({ traceId });
    if (keep && this.preview === shown) {
      this.preview = undefined;
    }
    if (part !== undefined) {
      shown.view.showPart(part);
    }
  }

  /** After the window was loaded anew. */
  deserializeWebviewPanel(panel: WebviewPanel, state: unknown): Promise<void> {
    const { open } = this.take(panel);
    const { traceId } = { ...(state as { traceId?: unknown } | undefined) };
    open.show(typeof traceId === "string" ? traceId : this.store.selection.traceId);
    return Promise.resolve();
  }

  dispose(): void {
    disposeAll(...this.registered, ...[...this.all].map(({ panel }) => panel));
  }

  /** Beside a text that is being written, else in the place of what is open. */
  private create(): WebviewPanel {
    const column = window.activeTextEditor === undefined ? ViewColumn.Active : ViewColumn.Beside;
    return window.createWebviewPanel(TRACE_TAB, "Trace", { viewColumn: column, preserveFocus: true }, OPTIONS);
  }

  private take(panel: WebviewPanel): Shown {
    panel.webview.options = WEBVIEW_OPTIONS;
    panel.iconPath = {
      light: Uri.joinPath(this.extension, "media", "trace-light.svg"),
      dark: Uri.joinPath(this.extension, "media", "trace-dark.svg"),
    };
    const { store } = this;
    const open = new OpenTrace(store.reads, store);
    const view = new TracePanel(panel.webview, store, open, store);
    const shown = { panel, open, view };
    const listeners: Releasable[] = [
      open.onState(() => {
        panel.title = tabTitle(open, store.row(open.traceId)?.prompt);
      }),
      panel.onDidChangeViewState(() => {
        if (panel.active) {
          this.store.select({ traceId: open.traceId });
        }
      }),
    ];
    panel.onDidDispose(() => {
      disposeAll(view, open, ...listeners);
      this.all.delete(shown);
      if (this.preview === shown) {
        this.preview = undefined;
      }
    });
    panel.webview.html = page(this.extension, "trace", "Trace");
    this.all.add(shown);
    this.preview = shown;
    return shown;
  }
}
