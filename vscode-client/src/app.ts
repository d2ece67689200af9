// What the commands work with, and how a failed one is told.

import { commands, window, type ExtensionContext, type LogOutputChannel } from "vscode";
import type { Daemon } from "./connection/daemon";
import { isCancelled, problemOf, type Problem } from "./problems";
import type { Command } from "./connection/pump";
import type { Store } from "./store";
import type { Reports } from "./views/reports";
import type { TraceTabs } from "./views/trace_tabs";
import type { TracesTree } from "./views/traces_tree";
import { leadToWrongSetting } from "./wrong_settings";

export interface App {
  context: ExtensionContext;
  output: LogOutputChannel;
  daemon: Daemon;
  store: Store;
  tree: TracesTree;
  tabs: TraceTabs;
  reports: Reports;
  /** Which Python to run nanoscope with. Raises Problem. */
  command: () => Promise<Command>;
}

/** By command; what one is given depends on who calls it: a menu, a tree row, a code lens. */
export type CommandTable = Record<string, (...args: unknown[]) => unknown>;

/** Say what went wrong, with what can be done about it a click away; a wrong setting is shown where it stands. */
export async function tell(problem: Problem): Promise<void> {
  if (problem.name === "SETTING_INVALID" && (await leadToWrongSetting())) {
    return;
  }
  const { message, actions } = problem;
  const chosen = await window.showErrorMessage(message, ...actions.map(({ label }) => label));
  const action = actions.find(({ label }) => label === chosen);
  if (action !== undefined) {
    await commands.executeCommand(action.command);
  }
}

/** Commands whose failures are told, and whose cancellations are not. */
export function register(app: App, table: CommandTable): void {
  for (const [name, run] of Object.entries(table)) {
    const guarded = async (...args: unknown[]): Promise<unknown> => {
      try {
        return await run(...args);
      } catch (error) {
        if (!isCancelled(error)) {
          const problem = problemOf(error);
          app.output.error(`${name}: ${problem.message}`);
          void tell(problem);
        }
        return undefined;
      }
    };
    app.context.subscriptions.push(commands.registerCommand(name, guarded));
  }
}
