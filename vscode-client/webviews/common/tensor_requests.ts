// Parts of tensors, asked for a few at a time, the most urgent first; what is no longer wanted is taken back.

import type { GetTensorParams, GetTensorResult } from "../../src/protocol";
import type { FromView, ToView } from "../../src/shared/messages";

export type TensorParams = Omit<GetTensorParams, "trace_id">;
export type TensorAnswer = Extract<ToView, { type: "tensor" } | { type: "tensorFailed" }>;

export interface TensorJob {
  params: TensorParams;
  /** Larger goes first. */
  urgency: number;
  done: (result: GetTensorResult) => void;
  failed: (message: string) => void;
}

/** The daemon reads one while the other is on its way; more would only keep a new wish waiting. */
const AT_ONCE = 2;

export class TensorRequests {
  private waiting: TensorJob[] = [];
  private readonly underWay = new Map<number, TensorJob>();
  private lastId = 0;

  constructor(private readonly post: (message: FromView) => void) {}

  /** Returns what takes it back. */
  ask(job: TensorJob): () => void {
    this.waiting.push(job);
    this.next();
    return () => {
      this.abandon(job);
    };
  }

  answer(message: TensorAnswer): void {
    const job = this.underWay.get(message.request);
    if (job === undefined) {
      return;
    }
    this.underWay.delete(message.request);
    if (message.type === "tensor") {
      job.done(message.result);
    } else {
      job.failed(message.message);
    }
    this.next();
  }

  /** Forgets everything: the trace is another one. */
  clear(): void {
    this.waiting = [];
    for (const id of this.underWay.keys()) {
      this.drop(id);
    }
  }

  private abandon(job: TensorJob): void {
    this.waiting = this.waiting.filter((other) => other !== job);
    for (const [id, other] of this.underWay) {
      if (other === job) {
        this.drop(id);
        this.next();
      }
    }
  }

  private drop(id: number): void {
    this.underWay.delete(id);
    this.post({ type: "cancelTensor", request: id });
  }

  private next(): void {
    while (this.underWay.size < AT_ONCE && this.waiting.length > 0) {
      const job = this.waiting.reduce((best, other) => (other.urgency > best.urgency ? other : best));
      this.waiting = this.waiting.filter((other) => other !== job);
      const id = ++this.lastId;
      this.underWay.set(id, job);
      this.post({ type: "tensor", request: id, params: job.params });
    }
  }
}
