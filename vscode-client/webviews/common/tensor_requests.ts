// Parts of tensors, asked for one at a time, the most urgent first; what is no longer wanted is taken back.

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

/** One request is under way at a time: the daemon reads them one after the other anyhow, and a new wish need not wait. */
export class TensorRequests {
  private waiting: TensorJob[] = [];
  private current: { id: number; job: TensorJob } | null = null;
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
    if (this.current?.id !== message.request) {
      return;
    }
    const { job } = this.current;
    this.current = null;
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
    this.drop();
  }

  private abandon(job: TensorJob): void {
    this.waiting = this.waiting.filter((other) => other !== job);
    if (this.current?.job === job) {
      this.drop();
      this.next();
    }
  }

  private drop(): void {
    if (this.current !== null) {
      this.post({ type: "cancelTensor", request: this.current.id });
      this.current = null;
    }
  }

  private next(): void {
    const [first, ...others] = this.waiting;
    if (this.current !== null || first === undefined) {
      return;
    }
    const job = others.reduce((best, other) => (other.urgency > best.urgency ? other : best), first);
    this.waiting = this.waiting.filter((other) => other !== job);
    this.current = { id: ++this.lastId, job };
    this.post({ type: "tensor", request: this.current.id, params: job.params });
  }
}
