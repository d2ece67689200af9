// The Attention Summary in the activity bar, of the selected trace.

import { window, type Disposable, type Uri, type WebviewView, type WebviewViewProvider } from "vscode";
import type { Store } from "../store";
import { TracePanel } from "./trace_panel";
import { page, WEBVIEW_OPTIONS } from "./webview_page";

const SUMMARY = "nanoscope.summary";

export function registerSideViews(extension: Uri, store: Store, wanted: () => void): Disposable {
  const provider: WebviewViewProvider = {
    resolveWebviewView(view: WebviewView): void {
      wanted();
      view.webview.options = WEBVIEW_OPTIONS;
      const panel = new TracePanel(view.webview, store, store.trace, store);
      view.onDidDispose(() => {
        panel.dispose();
      });
      view.webview.html = page(extension, "summary", "Attention Summary");
    },
  };
  return window.registerWebviewViewProvider(SUMMARY, provider);
}
