// The status bar item: how the daemon is, which model it holds, how many traces there are; a click opens the menu.

import { MarkdownString, StatusBarAlignment, ThemeColor, window, type Disposable, type StatusBarItem } from "vscode";
import type { Daemon, DaemonState } from "../connection/daemon";
import { disposeAll, type Releasable } from "../disposables";
import type { ModelInfo, QueueInfo } from "../protocol";
import type { Store } from "../store";

const TROUBLED_AFTER = 3; // attempts; before that, reconnecting is nothing to worry about

export class StatusBar implements Disposable {
  private readonly item: StatusBarItem;
  private readonly listeners: Releasable[];
  private queue: QueueInfo | undefined;

  constructor(
    private readonly daemon: Daemon,
    private readonly store: Store,
  ) {
    this.item = window.createStatusBarItem("nanoscope.status", StatusBarAlignment.Left);
    this.item.name = "nanoscope";
    const show = (): void => {
      this.show();
    };
    this.listeners = [
      this.item,
      daemon.onState(show),
      store.onRows(show),
      store.onModel(show),
      daemon.onNotified((notification) => {
        if (notification.name === "status_changed") {
          this.queue = notification.params.queue;
          show();
        }
      }),
    ];
    show();
  }

  dispose(): void {
    disposeAll(...this.listeners);
  }

  private show(): void {
    const { state } = this.daemon;
    const busy = state.kind === "running" && this.queue?.running === true;
    this.item.text = text(state, this.store.model, this.store.rows?.length, busy);
    this.item.tooltip = tooltip(state, this.store.model);
    this.item.accessibilityInformation = { label: this.item.text.replace(/\$\([\w~-]*\)/g, "").trim(), role: "button" };
    this.item.command = "nanoscope.menu";
    this.item.backgroundColor = troubled(state) ? new ThemeColor("statusBarItem.warningBackground") : undefined;
    if (state.kind === "idle") {
      this.item.hide();
    } else {
      this.item.show();
    }
  }
}

function troubled(state: DaemonState): boolean {
  return state.kind === "blocked" || (state.kind === "waiting" && state.failures >= TROUBLED_AFTER);
}

function text(state: DaemonState, model: ModelInfo | undefined, traces: number | undefined, busy: boolean): string {
  if (troubled(state)) {
    const setting = state.kind === "blocked" && state.problem.name === "SETTING_INVALID";
    return setting ? "$(warning) nanoscope: wrong setting" : "$(warning) nanoscope";
  }
  if (state.kind !== "running") {
    return "$(sync~spin) nanoscope: connecting";
  }
  const icon = busy ? "$(loading~spin)" : "$(pulse)";
  const count = traces === undefined ? [] : [`${traces} ${traces === 1 ? "trace" : "traces"}`];
  return `${icon} ${["nanoscope", ...(model === undefined ? [] : [modelName(model)]), ...count].join(" · ")}`;
}

export function modelName(model: ModelInfo): string {
  switch (model.state) {
    case "ready":
      return [model.source, model.tag === model.source ? null : model.tag].filter(Boolean).join(" ") || "model";
    case "loading":
      return "model loading";
    case "failed":
      return "no model";
    case "unloaded":
      return "no model yet";
  }
}

/** Which step and era, and where it lies: two models may have one name. */
export function modelPlace(model: ModelInfo): string {
  const parts = [model.step == null ? null : `step ${String(model.step)}`, model.era && `era ${model.era}`, model.path];
  return parts.filter(Boolean).join(", ");
}

function tooltip(state: DaemonState, model: ModelInfo | undefined): MarkdownString {
  const lines: string[] = [];
  if (state.kind === "blocked" || state.kind === "waiting") {
    lines.push(state.problem.message);
  }
  if (state.kind === "running") {
    const { pid, package_version, traces_dir } = state.greeting;
    lines.push(`Daemon ${package_version}, pid ${pid}`, `Traces in ${traces_dir}`);
    if (model?.state === "ready") {
      const size = [model.layers, model.heads, model.context].every((value) => typeof value === "number")
        ? `, ${model.layers ?? ""} layers of ${model.heads ?? ""} heads, ${model.context ?? ""} positions`
        : "";
      lines.push(`Model ${modelName(model)} on ${model.device ?? "?"}, ${model.dtype ?? "?"}${size}`);
      lines.push(...[modelPlace(model), model.note ?? ""].filter((line) => line !== ""));
    } else if (model?.error) {
      lines.push(model.error);
    }
  }
  const text = new MarkdownString();
  for (const line of lines) {
    text.appendText(line).appendMarkdown("\n\n");
  }
  return text;
}
