// What a view reads of its trace, asked for a few at a time, the most urgent first; what is not wanted is taken back.

import type { FromView, GivenRead, ReadMethod, ReadParams, ReadResult, ToView } from "../../src/shared/messages";

export type ReadAnswer = Extract<ToView, { type: "read" } | { type: "readFailed" }>;

export interface Read<M extends ReadMethod> {
  method: M;
  params: ReadParams<M>;
  /** Larger goes first. */
  urgency: number;
  done: (result: ReadResult<M>) => void;
  failed: (message: string, name: string) => void;
}

/** The daemon reads one while the other is on its way; more would only keep a new wish waiting. */
const AT_ONCE = 2;

export class TraceReads {
  private waiting: Read<ReadMethod>[] = [];
  private readonly underWay = new Map<number, Read<ReadMethod>>();
  private readonly given = new Map<string, GivenRead["result"]>();
  private held = false;
  private lastId = 0;

  constructor(private readonly post: (message: FromView) => void) {}

  /** What came along with the trace needs no asking. */
  give(reads: readonly GivenRead[]): void {
    reads.forEach(({ params, result }) => this.given.set(nameOf(params), result));
  }

  /** What was given; once, as whoever takes it keeps it. */
  known(params: GivenRead["params"]): GivenRead["result"] | undefined {
    const name = nameOf(params);
    const result = this.given.get(name);
    this.given.delete(name);
    return result;
  }

  /** Returns what takes it back. */
  ask<M extends ReadMethod>(read: Read<M>): () => void {
    const one = read as unknown as Read<ReadMethod>; // it is given the result of its own method
    this.waiting.push(one);
    this.next();
    return () => {
      this.abandon(one);
    };
  }

  answer(message: ReadAnswer): void {
    const read = this.underWay.get(message.request);
    if (read === undefined) {
      return;
    }
    this.underWay.delete(message.request);
    if (message.type === "read") {
      read.done(message.result);
    } else {
      read.failed(message.message, message.name ?? "");
    }
    this.next();
  }

  /** Forgets everything: the trace is another one. `held`: nothing is asked for until the next is there. */
  clear(held = false): void {
    this.held = held;
    this.given.clear();
    this.waiting = [];
    for (const id of this.underWay.keys()) {
      this.drop(id);
    }
  }

  private abandon(read: Read<ReadMethod>): void {
    this.waiting = this.waiting.filter((other) => other !== read);
    for (const [id, other] of this.underWay) {
      if (other === read) {
        this.drop(id);
        this.next();
      }
    }
  }

  private drop(id: number): void {
    this.underWay.delete(id);
    this.post({ type: "cancelRead", request: id });
  }

  private next(): void {
    while (!this.held && this.underWay.size < AT_ONCE && this.waiting.length > 0) {
      const read = this.waiting.reduce((best, other) => (other.urgency > best.urgency ? other : best));
      this.waiting = this.waiting.filter((other) => other !== read);
      const id = ++this.lastId;
      this.underWay.set(id, read);
      this.post({ type: "read", request: id, method: read.method, params: read.params } as FromView);
    }
  }
}

function nameOf(params: GivenRead["params"]): string {
  return JSON.stringify(Object.entries(params).sort());
}
