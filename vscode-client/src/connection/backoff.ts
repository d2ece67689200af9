// How long to wait before the next attempt: doubling, bounded, and short again after a time that went well.

const FIRST_MS = 200;
const LONGEST_MS = 15_000;
const STEADY_MS = 10_000;

export class Backoff {
  private failures = 0;

  /** Milliseconds to wait now. `lasted`: how long the connection held that has just ended, 0 where it never came up. */
  next(lasted: number): number {
    if (lasted >= STEADY_MS) {
      this.failures = 0;
    }
    const wait = Math.min(FIRST_MS * 2 ** this.failures, LONGEST_MS);
    this.failures += 1;
    return wait;
  }

  reset(): void {
    this.failures = 0;
  }
}
