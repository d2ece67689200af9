// One of the two traces of a comparing page: what the page has of it, and what has happened to it since.

import type { CancellationTokenSource, Disposable } from "vscode";
import { disposeAll, type Releasable } from "./disposables";
import type { Folders } from "./connection/folders";
import { OpenTrace } from "./open_trace";
import type { Change, SideState, TracePlace } from "./shared/compare_messages";
import type { TraceData } from "./shared/messages";
import type { TraceSource } from "./connection/trace_source";

export interface SideEvents {
  state: (state: SideState) => void;
  changed: (change: Change) => void;
  /** It was read again, and is as it was. */
  back: () => void;
}

export class CompareSide implements Disposable {
  /** What the page reads. */
  readonly asked = new Map<number, CancellationTokenSource>();
  readonly source: TraceSource;
  readonly own: boolean;
  private readonly open: OpenTrace;
  private readonly release: () => void;
  private readonly listeners: Releasable[];
  private given: string | null = null;
  private touched = false;

  constructor(
    readonly place: TracePlace,
    folders: Folders,
    private readonly events: SideEvents,
  ) {
    const { source, release } = folders.acquire(place.folder);
    this.source = source;
    this.release = release;
    this.own = folders.isOwn(place.folder);
    this.open = new OpenTrace(source);
    this.listeners = [
      this.open,
      source.onTracesChanged(({ changed = [], added = [] }) => {
        this.touched ||= [...changed, ...added].includes(place.traceId);
      }),
      this.open.onState(() => {
        this.take();
      }),
    ];
  }

  start(): void {
    this.open.show(this.place.traceId);
  }

  /** What a page that has nothing yet is told. */
  get state(): SideState {
    const { state } = this.open;
    switch (state.kind) {
      case "trace":
      case "loading":
        return state;
      case "failed":
        return state;
      case "empty":
        return { kind: "failed", message: `${this.place.traceId} is not there any more.` };
    }
  }

  get data(): TraceData | undefined {
    return this.open.data;
  }

  get prompt(): string | undefined {
    return this.data?.summary.prompt;
  }

  /** The page is told of the trace by this, and has nothing before. */
  give(): void {
    const { state } = this;
    this.given = state.kind === "trace" ? JSON.stringify(state.trace) : null;
    this.touched = false;
    this.events.state(state);
  }

  cancelAll(): void {
    for (const source of this.asked.values()) {
      source.cancel();
    }
    this.asked.clear();
  }

  dispose(): void {
    this.cancelAll();
    disposeAll(...this.listeners);
    this.release();
  }

  private take(): void {
    const { state } = this.open;
    if (this.given === null) {
      this.give();
    } else if (state.kind === "empty") {
      this.events.changed("deleted");
    } else if (state.kind === "trace") {
      if (this.touched || JSON.stringify(state.trace) !== this.given) {
        this.events.changed("rewritten");
      } else {
        this.events.back();
      }
    }
  }
}
