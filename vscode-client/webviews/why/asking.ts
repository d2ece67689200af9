// A question that the trace's model answers: one at a time, taken back when another is asked or nobody looks any more.

import type { ReadParams, ReadResult, ViewState } from "../../src/shared/messages";
import { createStore, type Store } from "../common/store";
import type { TraceReads } from "../common/trace_reads";

export type WhyMethod = "logit_lens" | "attribute_logits";

export interface AskingState {
  /** It is being computed. */
  busy: boolean;
  failure: { message: string; name: string } | null;
  /** Another model answers: how it differs from the one that wrote the trace. */
  otherModel: string | null;
}

export interface Asking<M extends WhyMethod> {
  store: Store<AskingState>;
  /** Asks, unless the same is being asked, or has failed. Another question under way is taken back. */
  ask: (params: ReadParams<M>, done: (result: ReadResult<M>) => void) => void;
  /** Nothing is wanted: what is under way is taken back, and no failure stands. */
  stop: () => void;
  /** What has failed may be asked again; `anyway`: of another model than the one that wrote the trace. */
  retry: (anyway: boolean) => void;
}

/** Those of a trace: it forgets everything when the page shows another, or the same anew. */
export function asking<M extends WhyMethod>(
  page: { reads: TraceReads; store: Pick<Store<{ view: ViewState }>, "subscribe"> },
  method: M,
): Asking<M> {
  const store = createStore<AskingState>({ busy: false, failure: null, otherModel: null });
  let key = "";
  let anyway = false;
  let takeBack = (): void => undefined;

  function stop(): void {
    takeBack();
    takeBack = () => undefined;
    key = "";
    store.set({ busy: false, failure: null });
  }

  function end(state: Partial<AskingState>): void {
    takeBack = () => undefined;
    store.set({ busy: false, ...state });
  }

  page.store.subscribe((state, before) => {
    if (state.view !== before.view) {
      anyway = false;
      stop();
      store.set({ otherModel: null });
    }
  });
  return {
    store,
    stop,
    ask: (params, done) => {
      const all = { ...params, anyway };
      const asked = JSON.stringify(all);
      if (asked === key) {
        return;
      }
      stop();
      key = asked;
      store.set({ busy: true });
      takeBack = page.reads.ask<M>({
        method,
        params: all,
        urgency: 1,
        done: (result) => {
          key = "";
          end({ otherModel: (result as { other_model?: string | null }).other_model ?? null });
          done(result);
        },
        failed: (message, name) => {
          end({ failure: { message, name } });
        },
      });
    },
    retry: (withAnother) => {
      anyway = anyway || withAnother;
      stop();
    },
  };
}
