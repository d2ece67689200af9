// The trace that a view shows: read when it is chosen, again when its file changes, kept while the daemon is away.

import {
  CancellationError,
  CancellationTokenSource,
  EventEmitter,
  type CancellationToken,
  type Disposable,
  type Event,
} from "vscode";
import { disposeAll } from "./disposables";
import { isCancelled, problemOf } from "./problems";
import { firstReads } from "./shared/first_reads";
import type { GivenRead, Selection, TraceData, ViewAction, ViewState } from "./shared/messages";
import { selectionIn, traceData } from "./trace_data";
import type { TraceSource } from "./connection/trace_source";

const CAPTURE: ViewAction = { label: "Capture Trace", command: "nanoscope.captureTrace" };
const PATIENCE_MS = 60; // for what is sent along; the page asks for what comes later
/** The list has a button to capture one while it is empty: one is enough. */
const TO_THE_LIST = "No traces here yet: capture one with the button in Traces.";

export class OpenTrace implements Disposable {
  private readonly emitter = new EventEmitter<ViewState>();
  readonly onState: Event<ViewState> = this.emitter.event;
  private readonly listeners: Disposable[];
  private reading: CancellationTokenSource | undefined;
  private current: ViewState;
  private id: string | null = null;
  private folderEmpty = false;
  private along: readonly GivenRead[] = [];

  /** @param choice which head's matrix is read with the trace, for a page that shows it */
  constructor(
    readonly source: TraceSource,
    private readonly choice?: { selectionIn: (traceId: string) => Selection },
  ) {
    this.current = this.nothing();
    this.listeners = [
      source.onReady(() => {
        void this.read();
      }),
      source.onTracesChanged(({ added = [], changed = [], removed = [] }) => {
        if (this.id === null) {
          return;
        }
        if (removed.includes(this.id)) {
          this.gone();
        } else if (changed.includes(this.id) || (added.includes(this.id) && this.current.kind !== "trace")) {
          void this.read();
        }
      }),
    ];
  }

  get state(): ViewState {
    return this.current;
  }

  get traceId(): string | null {
    return this.id;
  }

  get data(): TraceData | undefined {
    return this.current.kind === "trace" ? this.current.trace : undefined;
  }

  /** Parts of the trace that its page needs first. */
  get given(): readonly GivenRead[] {
    return this.along;
  }

  show(id: string | null): void {
    if (id === this.id) {
      return;
    }
    this.id = id;
    if (id === null) {
      this.reading?.cancel();
      this.set(this.nothing());
      return;
    }
    this.set({ kind: "loading", title: id });
    void this.read();
  }

  /** How many traces there are to choose from. */
  listed(traces: number): void {
    const empty = traces === 0;
    if (empty !== this.folderEmpty) {
      this.folderEmpty = empty;
      if (this.current.kind === "empty") {
        this.set(this.nothing());
      }
    }
  }

  /** Read it again; what is shown stays until that is done. */
  async read(): Promise<void> {
    this.reading?.cancel();
    const id = this.id;
    if (id === null) {
      return;
    }
    const reading = new CancellationTokenSource();
    this.reading = reading;
    const { token } = reading;
    try {
      const document = await this.source.request("get_document", { trace_id: id }, token);
      const trace = traceData(document);
      const along = await this.readAlong(trace, token);
      if (!token.isCancellationRequested) {
        this.set({ kind: "trace", trace }, along);
      }
    } catch (error) {
      if (!token.isCancellationRequested && !isCancelled(error)) {
        this.failed(error);
      }
    } finally {
      reading.dispose();
    }
  }

  dispose(): void {
    this.reading?.cancel();
    disposeAll(this.emitter, ...this.listeners);
  }

  /** All of it, or nothing where it does not come soon: the page asks again, and says what is wrong. */
  private async readAlong(trace: TraceData, token: CancellationToken): Promise<GivenRead[]> {
    if (this.choice === undefined) {
      return [];
    }
    const { trace_id } = trace.summary;
    const wanted = firstReads(trace, selectionIn(trace, this.choice.selectionIn(trace_id)));
    const reading = new CancellationTokenSource();
    const listener = token.onCancellationRequested(() => {
      reading.cancel();
    });
    const timer = setTimeout(() => {
      reading.cancel();
    }, PATIENCE_MS);
    const late = new Promise<never>((_, reject) => {
      reading.token.onCancellationRequested(() => {
        reject(new CancellationError());
      });
    });
    try {
      const results = wanted.map(async (params) => ({
        params,
        result: await this.source.request("get_tensor", { ...params, trace_id }, reading.token),
      }));
      return await Promise.race([Promise.all(results), late]);
    } catch {
      return [];
    } finally {
      clearTimeout(timer);
      disposeAll(listener, reading);
    }
  }

  private failed(error: unknown): void {
    const problem = problemOf(error);
    if (problem.name === "TRACE_NOT_FOUND") {
      this.gone();
      return;
    }
    if (problem.name === "CONNECTION_LOST" && this.current.kind === "trace") {
      return; // it is read again once the daemon is back
    }
    const [action] = problem.actions;
    this.set({ kind: "failed", message: problem.message, ...(action === undefined ? {} : { action }) });
  }

  private gone(): void {
    this.set(this.nothing());
  }

  /** Of a trace that was deleted, or of none. */
  private nothing(): ViewState {
    const deleted = this.id === null ? "" : `${this.id} was deleted. `;
    if (this.folderEmpty) {
      return { kind: "empty", message: `${deleted}${TO_THE_LIST}` };
    }
    const choose = deleted === "" ? "Choose a trace in the list" : "Choose another";
    return { kind: "empty", message: `${deleted}${choose}, or capture one.`, action: CAPTURE };
  }

  private set(state: ViewState, along: readonly GivenRead[] = []): void {
    this.current = state;
    this.along = along;
    this.emitter.fire(state);
  }
}
