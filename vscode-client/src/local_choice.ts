// The selection of a trace whose folder is not the session's, which the side bar does not show: its view's own. Which
// folder is the session's may be known only later; from then on the selection is that of all views.

import { EventEmitter, type Disposable, type Event } from "vscode";
import { NOTHING } from "./selection";
import type { Selection } from "./shared/messages";

/** Where a view has its selection from, and where its changes go. */
export interface Choice {
  readonly onSelection: Event<unknown>;
  /** In the trace that the view shows. */
  selectionIn: (traceId: string | null) => Selection;
  select: (change: Partial<Selection>) => void;
}

export class LocalChoice implements Choice, Disposable {
  private readonly emitter = new EventEmitter<void>();
  readonly onSelection = this.emitter.event;
  private chosen: Partial<Selection> = {};
  private shared: Choice | undefined;
  private listener: Disposable | undefined;

  get isShared(): boolean {
    return this.shared !== undefined;
  }

  selectionIn(traceId: string | null): Selection {
    return this.shared?.selectionIn(traceId) ?? { ...NOTHING, ...this.chosen, traceId };
  }

  select(change: Partial<Selection>): void {
    if (this.shared !== undefined) {
      this.shared.select(change);
      return;
    }
    this.chosen = { ...this.chosen, ...change };
    this.emitter.fire();
  }

  /** From now on it is the selection of all; what was chosen here before is chosen there. */
  share(shared: Choice): void {
    this.listener?.dispose();
    this.shared = shared;
    this.listener = shared.onSelection(() => {
      this.emitter.fire();
    });
    if (Object.keys(this.chosen).length > 0) {
      shared.select(this.chosen);
    }
    this.emitter.fire();
  }

  dispose(): void {
    this.listener?.dispose();
    this.emitter.dispose();
  }
}
