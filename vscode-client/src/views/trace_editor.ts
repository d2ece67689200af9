// The editor of a trace file: the page of the file's own trace, wherever it lies.

import path from "node:path";
import {
  window,
  type CustomDocument,
  type CustomReadonlyEditorProvider,
  type Disposable,
  type Uri,
  type WebviewPanel,
} from "vscode";
import type { Folders } from "../connection/folders";
import { disposeAll } from "../disposables";
import { LocalChoice } from "../local_choice";
import { OpenTrace } from "../open_trace";
import type { Store } from "../store";
import { TracePanel } from "./trace_panel";
import { tabTitle } from "./trace_tabs";
import { page, WEBVIEW_OPTIONS } from "./webview_page";

export const TRACE_EDITOR = "nanoscope.traceEditor";
const PATIENCE_MS = 2_000;

/** The id that a trace file's name gives its trace. */
export function traceIdOf(file: string): string {
  return path.basename(file, path.extname(file));
}

export class TraceEditor implements CustomReadonlyEditorProvider {
  constructor(
    private readonly extension: Uri,
    private readonly store: Store,
    private readonly folders: Folders,
    private readonly ready: () => Promise<unknown>,
  ) {}

  /** Nothing of the file is read here: the daemon reads what is shown. */
  openCustomDocument(uri: Uri): CustomDocument {
    return { uri, dispose: () => undefined };
  }

  async resolveCustomEditor({ uri }: CustomDocument, panel: WebviewPanel): Promise<void> {
    if (uri.scheme !== "file") {
      panel.webview.html =
        "<p>This is a trace that is not on the disk, such as an earlier version. Open it as text.</p>";
      return;
    }
    const traceId = traceIdOf(uri.fsPath);
    const folder = path.dirname(uri.fsPath);
    panel.webview.options = WEBVIEW_OPTIONS;
    const soon = new Promise((resolve) => setTimeout(resolve, PATIENCE_MS));
    await Promise.race([this.ready().catch(() => undefined), soon]); // then it is known which folder is the session's
    const { source, release } = this.folders.acquire(folder);
    const choice = new LocalChoice();
    const open = new OpenTrace(source, choice);
    const view = new TracePanel(panel.webview, this.store, open, choice, uri);
    const bringToFront = (): void => {
      if (choice.isShared && panel.active) {
        this.store.select({ traceId });
      }
    };
    const listeners = [
      choice,
      open.onState(() => {
        panel.title = tabTitle(open);
      }),
      panel.onDidChangeViewState(bringToFront),
      this.folders.onOwn(folder, () => {
        choice.share(this.store);
        bringToFront();
      }),
    ];
    panel.onDidDispose(() => {
      disposeAll(view, open, ...listeners);
      release();
    });
    open.show(traceId);
    if (choice.isShared) {
      this.store.select({ traceId });
    }
    panel.webview.html = page(this.extension, "trace", traceId);
  }
}

export function registerTraceEditor(editor: TraceEditor): Disposable {
  return window.registerCustomEditorProvider(TRACE_EDITOR, editor, {
    supportsMultipleEditorsPerDocument: true,
    webviewOptions: { retainContextWhenHidden: true }, // else each return to the tab loads the page and the trace anew
  });
}
