// The tab that shows the trace chosen in the tree: one, used again for the next trace, as a file's preview is.

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

/** A trace's name on a tab: its prompt, or its id until that is known. */
export function tabTitle({ data, traceId }: OpenTrace): string {
  const prompt = onOneLine(data?.summary.prompt ?? "") || (traceId ?? "Trace");
  return prompt.length > TITLE_LENGTH ? `${prompt.slice(0, TITLE_LENGTH - 1)}…` : prompt;
}

interface Shown {
  panel: WebviewPanel;
  open: OpenTrace;
  view: TracePanel;
}

export class TraceTab implements Disposable, WebviewPanelSerializer {
  private shown: Shown | undefined;
  private readonly registered: Releasable[];

  constructor(
    private readonly extension: Uri,
    private readonly store: Store,
  ) {
    this.registered = [window.registerWebviewPanelSerializer(TRACE_TAB, this)];
  }

  /** Shows a trace; the focus stays where it is unless it is wanted there. */
  show(traceId: string, { focus = false, part }: { focus?: boolean; part?: PagePart } = {}): void {
    const before = this.shown;
    const { open, panel, view } = before ?? this.take(this.create());
    open.show(traceId);
    this.store.select({ traceId });
    if (before !== undefined && (focus || !panel.visible)) {
      panel.reveal(undefined, !focus);
    }
    if (part !== undefined) {
      view.showPart(part);
    }
  }

  /** Closes it where it shows this trace, which has a tab of its own now. */
  leave(traceId: string): void {
    if (this.shown?.open.traceId === traceId) {
      this.shown.panel.dispose();
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
    disposeAll(...this.registered);
    this.shown?.panel.dispose();
  }

  /** Beside a text that is being written, else in the place of what is open. */
  private create(): WebviewPanel {
    const column = window.activeTextEditor === undefined ? ViewColumn.Active : ViewColumn.Beside;
    return window.createWebviewPanel(TRACE_TAB, "Trace", { viewColumn: column, preserveFocus: true }, OPTIONS);
  }

  private take(panel: WebviewPanel): Shown {
    this.shown?.panel.dispose(); // there is one
    panel.webview.options = WEBVIEW_OPTIONS;
    panel.iconPath = Uri.joinPath(this.extension, "media", "nanoscope.svg");
    const open = new OpenTrace(this.store.reads);
    const view = new TracePanel(panel.webview, this.store, open, this.store);
    const shown = { panel, open, view };
    const listeners: Releasable[] = [
      open.onState(() => {
        panel.title = tabTitle(open);
      }),
      panel.onDidChangeViewState(() => {
        if (panel.active) {
          this.store.select({ traceId: open.traceId });
        }
      }),
    ];
    panel.onDidDispose(() => {
      disposeAll(view, open, ...listeners);
      if (this.shown === shown) {
        this.shown = undefined;
      }
    });
    panel.webview.html = page(this.extension, "trace", "Trace");
    this.shown = shown;
    return shown;
  }
}
