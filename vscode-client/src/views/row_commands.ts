// A command of its own for each row of the tree. VS Code forgets the arguments of the rows' commands while it takes in a
// changed tree: a click in that moment, as traces are written, would do nothing.

import { commands, type Command, type Disposable } from "vscode";
import { disposeAll } from "../disposables";

export const SHOW_TRACE = "nanoscope.showTrace";

export class RowCommands implements Disposable {
  private readonly registered = new Map<string, Disposable>();

  /** The command that shows a trace; it stays, since the row of a trace that is gone may be clicked for a moment. */
  of(traceId: string): Command {
    const command = `${SHOW_TRACE}.${traceId}`;
    if (!this.registered.has(traceId)) {
      const show = (): Thenable<unknown> => commands.executeCommand(SHOW_TRACE, traceId);
      this.registered.set(traceId, commands.registerCommand(command, show));
    }
    return { command, title: "Show Trace" };
  }

  dispose(): void {
    disposeAll(...this.registered.values());
  }
}
