// Disposing of many things at once.

export interface Releasable {
  dispose(): unknown;
}

export function disposeAll(...things: readonly (Releasable | undefined)[]): void {
  for (const thing of things) {
    thing?.dispose();
  }
}
