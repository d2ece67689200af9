// What menus and welcome texts depend on: whether there are traces, and what is wrong.

import { commands } from "vscode";
import type { Daemon } from "./connection/daemon";
import type { Releasable } from "./disposables";
import type { Store } from "./store";

const TROUBLED_AFTER = 2;

export function followContexts(daemon: Daemon, store: Store): Releasable[] {
  const show = (): void => {
    const { state } = daemon;
    const troubled = state.kind === "blocked" || (state.kind === "waiting" && state.failures >= TROUBLED_AFTER);
    const problem = troubled ? state.problem : store.rows === undefined ? store.problem : undefined;
    void commands.executeCommand("setContext", "nanoscope.problem", problem === undefined ? "" : welcome(problem.name));
    void commands.executeCommand("setContext", "nanoscope.listed", store.rows !== undefined);
  };
  show();
  return [daemon.onState(show), store.onRows(show)];
}

/** The problems that package.json has a welcome text for; any other has the doctor's. */
const WELCOMED = new Set<string>([
  "PYTHON_MISSING",
  "PACKAGE_MISSING",
  "VERSION_MISMATCH",
  "SETTING_INVALID",
  "STORAGE_FAILED",
]);

function welcome(name: string): string {
  return WELCOMED.has(name) ? name : "OTHER";
}
