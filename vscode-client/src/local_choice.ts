// The selection of a trace of another folder, which the side bar does not show: its view's own.

import { EventEmitter, type Disposable } from "vscode";
import { NOTHING } from "./selection";
import type { Selection } from "./shared/messages";

export class LocalChoice implements Disposable {
  private readonly emitter = new EventEmitter<void>();
  readonly onSelection = this.emitter.event;
  private chosen: Selection = NOTHING;

  selectionIn(traceId: string | null): Selection {
    return { ...this.chosen, traceId };
  }

  select(change: Partial<Selection>): void {
    this.chosen = { ...this.chosen, ...change };
    this.emitter.fire();
  }

  dispose(): void {
    this.emitter.dispose();
  }
}
