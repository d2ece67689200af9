// Replays the generation: a slider over its steps, and a button that walks along it.

import { element, icon, ICONS, setAttributes } from "../common/dom";
import { traceOf } from "../common/page";
import { spokenToken } from "../common/token_text";
import type { TraceData } from "../../src/shared/messages";
import type { AttentionState } from "./attention_state";
import { promptLength, stepCount } from "../heads/trace_heads";

const PACE = 160; // milliseconds a step
const CALM_PACE = 600; // for those who want less motion

export function stepperPart({ page }: AttentionState): HTMLElement {
  const play = element("button", { type: "button", class: "icon-button" });
  const slider = element("input", { type: "range", min: 0, step: 1, "aria-label": "Step of the generation" });
  const words = element("span", { class: "step-words muted" });
  let timer: ReturnType<typeof setTimeout> | undefined;
  let playing = false;

  function showButton(): void {
    const label = playing ? "Pause" : "Replay the generation";
    play.replaceChildren(icon(playing ? ICONS.pause : ICONS.play));
    setAttributes(play, { title: label, "aria-label": label });
  }

  function stop(): void {
    clearTimeout(timer);
    playing = false;
    showButton();
  }

  function show(step: number): void {
    const trace = traceOf(page.store.state);
    if (trace !== null) {
      page.select({ step: step >= stepCount(trace) - 1 ? null : step });
    }
  }

  function next(): void {
    const trace = traceOf(page.store.state);
    const { step } = page.store.state.selection;
    if (trace === null || step === null) {
      stop();
      return;
    }
    show(step + 1);
    timer = setTimeout(next, matchMedia("(prefers-reduced-motion: reduce)").matches ? CALM_PACE : PACE);
  }

  play.addEventListener("click", () => {
    if (playing) {
      stop();
      return;
    }
    playing = true;
    showButton();
    if (page.store.state.selection.step === null) {
      page.select({ step: 0, token: null });
    }
    timer = setTimeout(next, PACE);
  });
  slider.addEventListener("input", () => {
    stop();
    show(Number(slider.value));
  });

  page.store.subscribe((state, before) => {
    const trace = traceOf(state);
    if (state.view !== before.view) {
      stop();
    }
    if (trace === null) {
      return;
    }
    const last = stepCount(trace) - 1;
    const step = state.selection.step ?? last;
    const text = stepWords(trace, step, last);
    slider.max = String(last);
    slider.value = String(step);
    slider.disabled = play.disabled = last === 0;
    slider.setAttribute("aria-valuetext", text);
    words.textContent = text;
  });
  showButton();
  return element("div", { class: "stepper", role: "group", "aria-label": "Replay" }, play, slider, words);
}

export function stepWords(trace: TraceData, step: number, last: number): string {
  const written = trace.tokens[promptLength(trace) + step];
  const what = step === 0 ? "prompt" : `step ${step} of ${last}`;
  return written === undefined ? what : `${what}, writes ${spokenToken(written)}`;
}
