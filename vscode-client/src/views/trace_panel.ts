// What one webview and the host say to each other: the trace, the selection, and tensors as they are asked for.

import { CancellationTokenSource, commands, type Disposable, type Uri, type Webview } from "vscode";
import { disposeAll, type Releasable } from "../disposables";
import type { Choice } from "../local_choice";
import type { OpenTrace } from "../open_trace";
import { selectionIn } from "../trace_data";
import { isCancelled, problemOf } from "../problems";
import { parsed } from "../selection";
import { COLOUR_MAP, colourMap, followSettings } from "../settings";
import type { Intervention } from "../protocol";
import {
  CAPTURE_AGAIN,
  FORK,
  SWITCH_OFF,
  type FromView,
  type PagePart,
  type Selection,
  type ToView,
} from "../shared/messages";
import type { Store } from "../store";
import { copyText, saveFile } from "./view_output";

const COMMANDS = "nanoscope."; // a webview may run these alone

export class TracePanel implements Disposable {
  private readonly listeners: Releasable[];
  private shown: string | null = null;
  private lastChange = 0; // of the view's own
  private isReady = false;
  private part: PagePart | null = null; // that is to be shown once the page is there
  private readonly asked = new Map<number, CancellationTokenSource>();

  /**
   * @param open the trace that it shows
   * @param choice what is selected in it
   * @param file of a view that is about one file: commands from there are about it
   */
  constructor(
    private readonly webview: Webview,
    private readonly store: Store,
    private readonly open: OpenTrace,
    private readonly choice: Choice,
    private readonly file?: Uri,
  ) {
    this.listeners = [
      webview.onDidReceiveMessage((message: FromView) => {
        this.receive(message);
      }),
      open.onState(() => {
        this.sendState();
      }),
      choice.onSelection(() => {
        this.sendSelection();
      }),
      store.onStatistic(() => {
        this.sendSettings();
      }),
      followSettings([COLOUR_MAP], () => {
        this.sendSettings();
      }),
    ];
  }

  dispose(): void {
    this.cancelAll();
    disposeAll(...this.listeners);
  }

  /** Brings a part of the page to the front. */
  showPart(part: PagePart): void {
    this.part = part;
    if (this.isReady) {
      this.sendPart();
    }
  }

  private receive(message: FromView): void {
    switch (message.type) {
      case "ready":
        this.cancelAll(); // they were for the page before this one
        this.lastChange = 0;
        this.isReady = true;
        this.sendSettings();
        this.sendState();
        this.sendPart();
        break;
      case "select":
        this.lastChange = message.number;
        this.choice.select({ ...fromPage(message, this.open.traceId), traceId: this.open.traceId });
        this.sendSelection(); // also where nothing has changed: it knows the view's change now
        break;
      case "read":
        void this.sendRead(message);
        break;
      case "cancelRead":
        this.asked.get(message.request)?.cancel();
        break;
      case "command":
        if (message.command.startsWith(COMMANDS)) {
          void commands.executeCommand(message.command, ...(message.arguments ?? [this.file]));
        }
        break;
      case "save":
        void saveFile(message, this.file);
        break;
      case "copy":
        void copyText(message);
        break;
      case "captureAgain":
        void commands.executeCommand(CAPTURE_AGAIN, this.open.data);
        break;
      case "fork":
        void commands.executeCommand(FORK, this.open, message.position, message.token);
        break;
      case "switchOff":
        void this.switchOff(message.interventions);
        break;
      case "setStatistic":
        this.store.setStatistic(message.statistic);
        break;
    }
  }

  private async switchOff(interventions: readonly Intervention[]): Promise<void> {
    this.send({ type: "running", running: true });
    try {
      await commands.executeCommand(SWITCH_OFF, this.open, interventions);
    } finally {
      this.send({ type: "running", running: false });
    }
  }

  private async sendRead({ request, method, params }: FromView & { type: "read" }): Promise<void> {
    const traceId = this.open.traceId ?? "";
    const source = new CancellationTokenSource();
    this.asked.set(request, source);
    try {
      const result = await this.open.source.request(method, { ...params, trace_id: traceId }, source.token);
      this.send({ type: "read", request, result });
    } catch (error) {
      const { name, message } = problemOf(error);
      const told = isCancelled(error) ? "It was not read any more." : message;
      this.send({ type: "readFailed", request, message: told, name });
    } finally {
      if (this.asked.get(request) === source) {
        this.asked.delete(request);
      }
      source.dispose();
    }
  }

  private sendPart(): void {
    if (this.part !== null) {
      this.send({ type: "showPart", part: this.part });
      this.part = null;
    }
  }

  private sendState(): void {
    const { state, traceId } = this.open;
    if (traceId !== this.shown) {
      this.cancelAll();
      this.shown = traceId;
    }
    this.send({ type: "state", state, given: this.open.given, ...this.selected() });
  }

  private sendSelection(): void {
    this.send({ type: "selection", ...this.selected() });
  }

  private selected(): { selection: Selection; change: number } {
    const { data, traceId } = this.open;
    const chosen = this.choice.selectionIn(traceId);
    const selection = data === undefined ? chosen : selectionIn(data, chosen);
    return { selection: { ...selection, traceId }, change: this.lastChange };
  }

  private sendSettings(): void {
    this.send({ type: "settings", statistic: this.store.statistic, colourMap: colourMap() });
  }

  private send(message: ToView): void {
    void this.webview.postMessage(message);
  }

  private cancelAll(): void {
    for (const source of this.asked.values()) {
      source.cancel();
    }
    this.asked.clear();
  }
}

/** What a page has chosen; of a trace that it is not about any more, layer and head alone. */
function fromPage({ traceId, change }: FromView & { type: "select" }, shown: string | null): Partial<Selection> {
  const { layer, head, ...own } = parsed(change);
  const all = { ...(layer === undefined ? {} : { layer }), ...(head === undefined ? {} : { head }) };
  return traceId === shown ? { ...all, ...own } : all;
}
