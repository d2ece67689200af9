// Keys that lead from trace to trace, wherever the page has the focus.

import type { Page } from "../common/page";

/** t: the trace below in the tree; T: the one above. */
const COMMANDS: Record<string, string> = { t: "nanoscope.nextTrace", T: "nanoscope.previousTrace" };

export function onTraceKeys({ host }: Page): void {
  document.addEventListener("keydown", (event) => {
    const typing = event.target instanceof Element && event.target.matches("input:not([type=range]), textarea, select");
    const command = COMMANDS[event.key];
    if (command !== undefined && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) {
      event.preventDefault();
      host.post({ type: "command", command, arguments: [] });
    }
  });
}
