// What the host says is shown. While the next trace is on its way, the page stays as it is for a moment: most come sooner
// than a page that says so could be painted.

import type { ToView, ViewState } from "../../src/shared/messages";

const PATIENCE = 150; // milliseconds

type StateMessage = Extract<ToView, { type: "state" }>;

export interface StateActions {
  /** What is on the page. */
  shown: () => ViewState;
  /** That trace is not read from any more. */
  leave: () => void;
  show: (message: StateMessage) => void;
}

export interface StateTaker {
  take: (message: StateMessage) => void;
  /** The page still shows what it is not about any more. */
  isLeaving: () => boolean;
}

export function stateTaker({ shown, leave, show }: StateActions): StateTaker {
  let timer: ReturnType<typeof setTimeout> | undefined;
  return {
    isLeaving: () => timer !== undefined,
    take: (message) => {
      clearTimeout(timer);
      timer = undefined;
      leave();
      if (message.state.kind === "loading" && shown().kind === "trace") {
        timer = setTimeout(() => {
          timer = undefined;
          show(message);
        }, PATIENCE);
      } else {
        show(message);
      }
    },
  };
}
