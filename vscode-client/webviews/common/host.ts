// The other side of the webview: what is posted to it, what it says, what it keeps for a hidden view.

import type { FromView, ToView } from "../../src/shared/messages";

interface VsCodeApi {
  postMessage: (message: unknown) => void;
  getState: () => unknown;
  setState: (state: Record<string, unknown>) => void;
}

declare function acquireVsCodeApi(): VsCodeApi;

export interface Host<From = FromView, To = ToView> {
  post: (message: From) => void;
  listen: (listener: (message: To) => void) => void;
  /** What a part kept of itself when the view was last open. */
  recall: (key: string) => unknown;
  keep: (key: string, value: unknown) => void;
}

/** May be made once a page. */
export function connectHost<From = FromView, To = ToView>(): Host<From, To> {
  const api = acquireVsCodeApi();
  return {
    post: (message) => {
      api.postMessage(message);
    },
    listen: (listener) => {
      window.addEventListener("message", (event: MessageEvent<To>) => {
        listener(event.data);
      });
    },
    recall: (key) => kept(api)[key],
    keep: (key, value) => {
      api.setState({ ...kept(api), [key]: value });
    },
  };
}

function kept(api: VsCodeApi): Record<string, unknown> {
  const state = api.getState();
  return typeof state === "object" && state !== null ? { ...state } : {};
}
