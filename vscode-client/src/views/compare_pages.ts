// All comparing pages: opened by a command, several at once, found again after the window was reloaded.
//
// They are webview panels, not custom editors: what they show is no file, and their title follows what is compared when
// the two are swapped, or when one of them is replaced.

import { ViewColumn, window, type Disposable, type Uri, type WebviewPanel } from "vscode";
import { placesOf, type Places, type TracePlace } from "../shared/compare_messages";
import { ComparePanel, type CompareTools } from "./compare_panel";
import { page, WEBVIEW_OPTIONS } from "./webview_page";

export const COMPARE_PAGE = "nanoscope.compare";
const PATIENCE_MS = 2_000;

export class ComparePages implements Disposable {
  private readonly pages = new Set<ComparePanel>();
  private readonly serializer: Disposable;

  constructor(
    private readonly extension: Uri,
    private readonly tools: CompareTools,
  ) {
    this.serializer = window.registerWebviewPanelSerializer(COMPARE_PAGE, {
      deserializeWebviewPanel: (panel, state) => this.restore(panel, state),
    });
  }

  async open(one: TracePlace, other: TracePlace, title: string): Promise<void> {
    for (const { places, panel } of this.pages) {
      const pair = places.swapped ? [places.other, places.one] : [places.one, places.other];
      if (isSame(pair[0], one) && isSame(pair[1], other)) {
        panel.reveal();
        return;
      }
    }
    const panel = window.createWebviewPanel(COMPARE_PAGE, title, ViewColumn.Active, WEBVIEW_OPTIONS);
    await this.show(panel, { one, other, swapped: false });
  }

  dispose(): void {
    this.serializer.dispose();
    this.pages.forEach((shown) => {
      shown.dispose();
    });
  }

  private async restore(panel: WebviewPanel, state: unknown): Promise<void> {
    const places = placesOf(state);
    if (places === null) {
      panel.dispose();
      return;
    }
    panel.webview.options = WEBVIEW_OPTIONS;
    await this.show(panel, places);
  }

  private async show(panel: WebviewPanel, places: Places): Promise<void> {
    const early = { gone: false };
    panel.onDidDispose(() => {
      early.gone = true;
    });
    const soon = new Promise((resolve) => setTimeout(resolve, PATIENCE_MS));
    const ready = this.tools.daemon.request("hello", {}).catch(() => undefined);
    await Promise.race([ready, soon]); // then it is known which folder is the session's
    if (early.gone) {
      return;
    }
    const shown = new ComparePanel(panel, places, this.tools);
    this.pages.add(shown);
    panel.onDidDispose(() => {
      this.pages.delete(shown);
      shown.dispose();
    });
    shown.start();
    panel.webview.html = page(this.extension, "compare", "Two traces");
  }
}

function isSame(one: TracePlace | undefined, other: TracePlace): boolean {
  return one?.folder === other.folder && one.traceId === other.traceId;
}
