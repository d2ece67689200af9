// Which of the connection's alerts are worth a notification: each once, until it has been well for a while.

import { window } from "vscode";
import type { DaemonState } from "./daemon";
import type { Problem } from "../problems";
import { wrongSetting } from "../wrong_settings";

const TOLD_AFTER = 4; // attempts in vain: before that it is a restart like any other

export class ConnectionAlerts {
  private told: string | undefined;
  private readonly messages = new Set<string>();

  worthTelling(state: DaemonState): Problem | undefined {
    if (state.kind === "running") {
      this.told = undefined;
    }
    const problem =
      state.kind === "blocked" || (state.kind === "waiting" && state.failures >= TOLD_AFTER)
        ? state.problem
        : undefined;
    if (problem === undefined || problem.message === this.told) {
      return undefined;
    }
    this.told = problem.message;
    // a setting is underlined where it stands; the status bar and the traces view say it as well
    return problem.name === "SETTING_INVALID" && wrongSetting() !== undefined ? undefined : problem;
  }

  /** What the daemon wants shown comes with every connection: once is enough. */
  message(text: string): void {
    if (!this.messages.has(text)) {
      this.messages.add(text);
      void window.showWarningMessage(text);
    }
  }
}
