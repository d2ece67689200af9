// A generation whose text shows in a notification as it streams.

import { window, type CancellationToken, type Progress } from "vscode";
import type { App } from "../app";
import type { Params, RequestId, Result } from "../connection/language_client";
import type { TraceSource } from "../connection/trace_source";

const SHOWN_LENGTH = 160;
const SHOW_MS = 80;

export type Report = Progress<{ message?: string; increment?: number }>;
type Writing = "generate_and_capture" | "intervene" | "fork_trace";

/** `source`: where it is asked; what another connection than the window's own says meanwhile is not heard. */
export async function streamed<M extends Writing>(
  app: App,
  method: M,
  params: Params<M>,
  progress: Report,
  token: CancellationToken,
  source: Pick<TraceSource, "request">,
): Promise<Result<M>> {
  let id: RequestId | undefined;
  const shown = new Streamed(progress, "max_tokens" in params ? (params.max_tokens ?? 0) : 0);
  const listener = app.daemon.onNotified(({ name, params: told }) => {
    if (name === "generation_progress" && told.request === id) {
      shown.token(told.text);
    } else if (name === "request_progress" && told.request === id && told.notice) {
      void window.showInformationMessage(told.notice);
    } else if (name === "request_progress" && told.request === id && told.state !== "running") {
      progress.report({ message: told.message ?? "" });
    }
  });
  try {
    return await source.request(method, { ...params, stream: true }, token, (number) => {
      id = number;
    });
  } finally {
    listener.dispose();
    shown.dispose();
  }
}

/** The end of the text so far, a few times a second. */
class Streamed {
  private text = "";
  private increment = 0;
  private timer: NodeJS.Timeout | undefined;

  constructor(
    private readonly progress: Report,
    private readonly maxTokens: number,
  ) {}

  token(text: string): void {
    this.text = (this.text + text).slice(-2 * SHOWN_LENGTH); // no more is shown
    this.increment += this.maxTokens > 0 ? 100 / this.maxTokens : 0;
    this.timer ??= setTimeout(() => {
      this.show();
    }, SHOW_MS);
  }

  dispose(): void {
    clearTimeout(this.timer);
  }

  private show(): void {
    const text = this.text.replace(/\s+/g, " ");
    const message = text.length > SHOWN_LENGTH ? `…${text.slice(-SHOWN_LENGTH)}` : text;
    this.progress.report({ message, increment: this.increment });
    this.increment = 0;
    this.timer = undefined;
  }
}
