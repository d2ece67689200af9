// Answers that several askers share: asked for once, kept while they hold, taken back when nobody waits any more.

interface Asked<T> {
  of: string;
  result: Promise<T>;
  controller: AbortController;
  /** How many wait; one that cannot let go counts for ever. */
  waiting: number;
  done: boolean;
}

export class SharedAnswers<T> {
  /** In the order of their last use. */
  private readonly asked = new Map<string, Asked<T>>();

  /** @param kept answers at most; the one used longest ago goes first */
  constructor(private readonly kept: number) {}

  /**
   * @param of what the answer is about, for `forget`
   * @param key tells one question from another
   * @param begin asks, where nobody has yet
   * @param signal of an asker who may let go; the others still get the answer
   */
  ask(of: string, key: string, begin: (signal: AbortSignal) => Promise<T>, signal?: AbortSignal): Promise<T> {
    const one = this.asked.get(key) ?? this.begin(of, key, begin);
    this.asked.delete(key);
    this.asked.set(key, one);
    return this.wait(key, one, signal);
  }

  /** What was answered of these holds no longer. */
  forget(of: readonly string[]): void {
    for (const [key, one] of this.asked) {
      if (of.includes(one.of)) {
        this.asked.delete(key);
      }
    }
  }

  clear(): void {
    this.asked.clear();
  }

  private begin(of: string, key: string, begin: (signal: AbortSignal) => Promise<T>): Asked<T> {
    const controller = new AbortController();
    const one: Asked<T> = { of, result: begin(controller.signal), controller, waiting: 0, done: false };
    one.result.then(
      () => {
        one.done = true;
      },
      () => {
        this.drop(key, one); // the next one who asks tries again
      },
    );
    for (const oldest of this.asked.keys()) {
      if (this.asked.size < this.kept) {
        break;
      }
      this.asked.delete(oldest);
    }
    return one;
  }

  private wait(key: string, one: Asked<T>, signal: AbortSignal | undefined): Promise<T> {
    one.waiting += signal === undefined ? Infinity : 1;
    return new Promise((resolve, reject) => {
      const letGo = (): void => {
        one.waiting -= 1;
        if (one.waiting === 0 && !one.done) {
          this.drop(key, one);
          one.controller.abort();
        }
        reject(signal?.reason as Error);
      };
      if (signal?.aborted === true) {
        letGo();
        return;
      }
      signal?.addEventListener("abort", letGo, { once: true });
      one.result.then(resolve, reject).finally(() => {
        signal?.removeEventListener("abort", letGo);
      });
    });
  }

  private drop(key: string, one: Asked<T>): void {
    if (this.asked.get(key) === one) {
      this.asked.delete(key);
    }
  }
}
