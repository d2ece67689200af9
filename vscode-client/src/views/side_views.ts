// The attention view and the summary view in the activity bar: both show the selected trace.

import { window, type Disposable, type Uri, type WebviewView, type WebviewViewProvider } from "vscode";
import type { Store } from "../store";
import { TracePanel } from "./trace_panel";
import { page, WEBVIEW_OPTIONS, type PageName } from "./webview_page";

const VIEWS: readonly { id: string; name: PageName; title: string }[] = [
  { id: "nanoscope.attention", name: "attention", title: "Attention" },
  { id: "nanoscope.summary", name: "summary", title: "Summary" },
];

export function registerSideViews(extension: Uri, store: Store, wanted: () => void): Disposable[] {
  return VIEWS.map(({ id, name, title }) => {
    const provider: WebviewViewProvider = {
      resolveWebviewView(view: WebviewView): void {
        wanted();
        view.webview.options = WEBVIEW_OPTIONS;
        const panel = new TracePanel(view.webview, store, store.trace, (change) => {
          store.select(change);
        });
        view.onDidDispose(() => {
          panel.dispose();
        });
        view.webview.html = page(extension, name, title);
      },
    };
    return window.registerWebviewViewProvider(id, provider);
  });
}
