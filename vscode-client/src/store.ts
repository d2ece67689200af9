// What all views share: the traces of the session's folder, the model, and the selection, which survives reloads.

import { EventEmitter, type Disposable, type Event, type Memento } from "vscode";
import type { Daemon } from "./connection/daemon";
import { disposeAll, type Releasable } from "./disposables";
import { afterChange } from "./listing";
import { OpenTrace } from "./open_trace";
import { isCancelled, problemOf, type Problem } from "./problems";
import type { ListTracesResult, ModelInfo, TraceRow, TracesChanged } from "./protocol";
import { changed, NOTHING, parsed, same, type OwnPlace } from "./selection";
import { SharedReads } from "./connection/shared_reads";
import type { Selection } from "./shared/messages";
import { selectionIn } from "./trace_data";

const SELECTION_KEY = "selection";
const STATISTIC_KEY = "statistic";
const DEFAULT_STATISTIC = "pattern"; // the heads themselves, as small pictures
const PAGE = 1_000;
const MARGIN = 20; // rows before those that came, of other clients

export class Store implements Disposable {
  private readonly rowsEmitter = new EventEmitter<void>();
  private readonly selectionEmitter = new EventEmitter<Selection>();
  private readonly modelEmitter = new EventEmitter<ModelInfo>();
  private readonly statisticEmitter = new EventEmitter<string>();
  readonly onRows: Event<void> = this.rowsEmitter.event;
  readonly onSelection: Event<Selection> = this.selectionEmitter.event;
  readonly onModel: Event<ModelInfo> = this.modelEmitter.event;
  readonly onStatistic: Event<string> = this.statisticEmitter.event;
  /** The selected trace. */
  readonly trace: OpenTrace;
  /** What the session's folder is asked by all who show a trace. */
  readonly reads: SharedReads;

  private readonly listeners: Releasable[];
  private all: readonly TraceRow[] | undefined;
  private held: ModelInfo | undefined;
  private chosen: Selection;
  /** Where one was in traces that were looked at before. */
  private readonly places = new Map<string, OwnPlace>();
  private listing: Promise<void> | undefined;
  private listAgain = false;
  private listingProblem: Problem | undefined;

  constructor(
    private readonly daemon: Daemon,
    private readonly memento: Memento,
  ) {
    this.chosen = { ...NOTHING, ...parsed(memento.get(SELECTION_KEY)) };
    this.reads = new SharedReads(daemon);
    this.trace = new OpenTrace(this.reads);
    this.trace.show(this.chosen.traceId);
    this.listeners = [
      this.trace,
      this.reads,
      this.onRows(() => {
        if (this.all !== undefined) {
          this.trace.listed(this.all.length);
        }
      }),
      daemon.onReady(() => {
        void this.refresh();
        void this.askModel();
      }),
      daemon.onTracesChanged((change) => void this.take(change)),
      daemon.onNotified((notification) => {
        if (notification.name === "model_changed") {
          this.setModel(notification.params.model);
        }
      }),
    ];
  }

  /** Newest first; undefined until they have been listed for the first time. */
  get rows(): readonly TraceRow[] | undefined {
    return this.all;
  }

  /** Why the traces could not be listed. */
  get problem(): Problem | undefined {
    return this.listingProblem;
  }

  get model(): ModelInfo | undefined {
    return this.held;
  }

  get selection(): Selection {
    const { data } = this.trace;
    return data === undefined ? this.chosen : { ...selectionIn(data, this.chosen), traceId: this.chosen.traceId };
  }

  get statistic(): string {
    return this.memento.get(STATISTIC_KEY, DEFAULT_STATISTIC);
  }

  setStatistic(statistic: string): void {
    void this.memento.update(STATISTIC_KEY, statistic);
    this.statisticEmitter.fire(statistic);
  }

  select(change: Partial<Selection>): void {
    const next = changed(this.chosen, change, this.places);
    if (same(next, this.chosen)) {
      return;
    }
    const { traceId, token, step } = this.chosen;
    if (traceId !== null) {
      this.places.set(traceId, { token, step });
    }
    this.chosen = next;
    void this.memento.update(SELECTION_KEY, next);
    this.trace.show(next.traceId);
    this.selectionEmitter.fire(this.selection);
  }

  /** What is selected in one trace: layer and head are those of all. */
  selectionIn(traceId: string | null): Selection {
    return changed(this.chosen, { traceId }, this.places);
  }

  row(traceId: string | null): TraceRow | undefined {
    return this.all?.find(({ trace_id }) => trace_id === traceId);
  }

  /** List the traces anew; calls that come meanwhile make one more listing, not many. */
  refresh(): Promise<void> {
    if (this.listing !== undefined) {
      this.listAgain = true;
      return this.listing;
    }
    this.listing = this.list().finally(() => {
      this.listing = undefined;
    });
    return this.listing;
  }

  /** Bring the list up to date: by its beginning where that will do, else anew. */
  private async take(change: TracesChanged): Promise<void> {
    const { added = [], changed: others = [] } = change;
    const before = this.all;
    if (before === undefined || this.listing !== undefined || added.length + others.length > PAGE / 2) {
      return this.refresh();
    }
    try {
      const page = await this.page(null, added.length + others.length + MARGIN);
      const after = afterChange(before, page.traces, change);
      if (after?.length === page.total && this.all === before) {
        this.all = after;
        this.rowsEmitter.fire();
        return;
      }
    } catch {
      // the full listing says what is wrong
    }
    return this.refresh();
  }

  dispose(): void {
    disposeAll(...this.listeners, this.rowsEmitter, this.selectionEmitter, this.modelEmitter, this.statisticEmitter);
  }

  private async list(): Promise<void> {
    do {
      this.listAgain = false;
      try {
        const rows: TraceRow[] = [];
        let cursor: string | null = null;
        do {
          const page = await this.page(cursor);
          rows.push(...page.traces);
          cursor = page.cursor ?? null;
        } while (cursor !== null);
        this.all = rows;
        this.listingProblem = undefined;
      } catch (error) {
        if (!isCancelled(error)) {
          this.listingProblem = problemOf(error);
        }
      }
      this.rowsEmitter.fire();
    } while (this.shallListAgain());
  }

  private page(cursor: string | null, limit = PAGE): Promise<ListTracesResult> {
    return this.daemon.request("list_traces", { limit, cursor });
  }

  private shallListAgain(): boolean {
    return this.listAgain;
  }

  private async askModel(): Promise<void> {
    try {
      this.setModel((await this.daemon.request("get_status", {})).model);
    } catch {
      return; // the connection's state says it all
    }
  }

  private setModel(model: ModelInfo): void {
    this.held = model;
    this.modelEmitter.fire(model);
  }
}
