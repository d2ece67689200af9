// What all views read of a trace, read once for all of them, and again after the trace has changed.

import {
  CancellationError,
  CancellationTokenSource,
  EventEmitter,
  type CancellationToken,
  type Disposable,
} from "vscode";
import { disposeAll, type Releasable } from "../disposables";
import type { Params, RequestId, Result } from "./language_client";
import type { MethodName, TracesChanged } from "../protocol";
import { SharedAnswers } from "./shared_answers";
import type { TraceSource } from "./trace_source";

const SHARED = new Set<MethodName>(["get_document", "get_head_thumbnails"]);
const KEPT = 64; // answers: some documents and, of a long trace, the thumbnails of its layers

export class SharedReads implements TraceSource, Disposable {
  private readonly readyEmitter = new EventEmitter<void>();
  private readonly tracesEmitter = new EventEmitter<TracesChanged>();
  readonly onReady = this.readyEmitter.event;
  readonly onTracesChanged = this.tracesEmitter.event;
  private readonly listeners: Releasable[];
  private readonly answers = new SharedAnswers<unknown>(KEPT);

  constructor(private readonly source: TraceSource) {
    this.listeners = [
      this.readyEmitter,
      this.tracesEmitter,
      source.onReady(() => {
        this.answers.clear(); // nobody told of what changed meanwhile
        this.readyEmitter.fire();
      }),
      source.onTracesChanged((change) => {
        const { added = [], changed = [], removed = [] } = change;
        this.answers.forget([...added, ...changed, ...removed]);
        this.tracesEmitter.fire(change);
      }),
    ];
  }

  async request<M extends MethodName>(
    method: M,
    params: Params<M>,
    token?: CancellationToken,
    onId?: (id: RequestId) => void,
  ): Promise<Result<M>> {
    if (!SHARED.has(method) || !("trace_id" in params)) {
      return this.source.request(method, params, token, onId);
    }
    const key = `${method} ${JSON.stringify(params)}`;
    const begin = (signal: AbortSignal): Promise<Result<M>> =>
      this.source.request(method, params, tokenOf(signal), onId);
    const asking = token === undefined ? undefined : signalOf(token);
    try {
      return (await this.answers.ask(params.trace_id, key, begin, asking?.signal)) as Result<M>;
    } finally {
      asking?.listener.dispose();
    }
  }

  dispose(): void {
    disposeAll(...this.listeners);
  }
}

function tokenOf(signal: AbortSignal): CancellationToken {
  const source = new CancellationTokenSource();
  signal.addEventListener("abort", () => {
    source.cancel();
  });
  return source.token;
}

function signalOf(token: CancellationToken): { signal: AbortSignal; listener: Disposable } {
  const controller = new AbortController();
  const abort = (): void => {
    controller.abort(new CancellationError());
  };
  if (token.isCancellationRequested) {
    abort();
  }
  return { signal: controller.signal, listener: token.onCancellationRequested(abort) };
}
