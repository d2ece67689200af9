// One comparing page: two traces, wherever they lie, and what the page asks of them.

import { CancellationTokenSource, commands, env, type Disposable, type WebviewPanel } from "vscode";
import { CompareSide } from "../compare_side";
import { comparedTitle } from "../comparison_title";
import type { Daemon } from "../connection/daemon";
import { disposeAll, type Releasable } from "../disposables";
import type { Folders } from "../connection/folders";
import { isCancelled, problemOf } from "../problems";
import type { CompareTracesResult } from "../protocol";
import { COLOUR_MAP, colourMap, followSettings } from "../settings";
import {
  SIDES,
  type FromComparePage,
  type Places,
  type SideName,
  type ToComparePage,
  type TracePlace,
} from "../shared/compare_messages";
import type { TraceData } from "../shared/messages";

const COMMANDS = "nanoscope."; // a webview may run these alone

type Ask = Extract<Extract<FromComparePage, { type: "ask" }>["ask"], { type: "read" }>;

export interface CompareTools {
  daemon: Daemon;
  folders: Folders;
  /** Lets the user choose a trace to take the place of one. */
  choose: (instead: TracePlace) => Promise<TracePlace | undefined>;
  openTrace: (place: TracePlace) => void;
  /** Captures a trace's prompt again, with attention of these layers, or of its own; gives the new trace. */
  capture: (trace: TraceData, layers: readonly number[] | undefined) => Promise<TracePlace | undefined>;
}

export class ComparePanel implements Disposable {
  private readonly listeners: Releasable[];
  private sides: Record<SideName, CompareSide>;
  private readonly compared = new Map<number | null, CompareTracesResult>();
  private readonly comparing = new Map<number | null, CancellationTokenSource>();
  private closed = false;

  constructor(
    readonly panel: WebviewPanel,
    private current: Places,
    private readonly tools: CompareTools,
  ) {
    this.sides = this.openSides();
    this.listeners = [
      panel.webview.onDidReceiveMessage((message: FromComparePage) => {
        void this.receive(message);
      }),
      tools.daemon.onReady(() => {
        if (SIDES.some((name) => this.sides[name].own !== tools.folders.isOwn(this.current[name].folder))) {
          this.again(); // the session's folder is another
        }
      }),
      followSettings([COLOUR_MAP], () => {
        this.sendSettings();
      }),
    ];
  }

  /** Begins to read both. */
  start(): void {
    SIDES.forEach((name) => {
      this.sides[name].start();
    });
  }

  get places(): Places {
    return this.current;
  }

  dispose(): void {
    this.closed = true;
    this.close();
    disposeAll(...this.listeners);
  }

  private async receive(message: FromComparePage): Promise<void> {
    switch (message.type) {
      case "ready":
        this.cancelAll(); // they were for the page before this one
        this.sendSettings();
        this.send({ type: "places", places: this.current });
        SIDES.forEach((name) => {
          this.sides[name].give();
        });
        break;
      case "ask":
        if (message.ask.type === "read") {
          await this.read(message.side, message.ask);
        } else {
          this.sides[message.side].asked.get(message.ask.request)?.cancel();
        }
        break;
      case "compare":
        await this.compare(message.layer);
        break;
      case "swap":
        this.current = { ...this.current, swapped: message.swapped };
        this.send({ type: "places", places: this.current });
        this.entitle();
        break;
      case "again":
        this.again();
        break;
      case "choose":
        this.replace(message.side, await this.tools.choose(this.current[message.side]));
        break;
      case "open":
        this.tools.openTrace(this.current[message.side]);
        break;
      case "capture":
        await this.capture(message.side);
        break;
      case "copy":
        await env.clipboard.writeText(message.text);
        break;
      case "command":
        if (message.command.startsWith(COMMANDS)) {
          await commands.executeCommand(message.command);
        }
        break;
    }
  }

  /** With the layers that the other one has, which are compared with it. */
  private async capture(side: SideName): Promise<void> {
    const { data } = this.sides[side];
    const layers = this.sides[side === "one" ? "other" : "one"].data?.layers ?? [];
    if (data !== undefined) {
      this.replace(side, await this.tools.capture(data, layers.length > 0 ? layers : undefined));
    }
  }

  private replace(side: SideName, place: TracePlace | undefined): void {
    if (place !== undefined && !this.closed) {
      this.current = { ...this.current, [side]: place };
      this.again();
    }
  }

  /** As if it were opened now. */
  private again(): void {
    this.close();
    this.send({ type: "places", places: this.current });
    this.sides = this.openSides();
    this.start();
  }

  private close(): void {
    this.cancelAll();
    this.compared.clear();
    SIDES.forEach((name) => {
      this.sides[name].dispose();
    });
  }

  private openSides(): Record<SideName, CompareSide> {
    const open = (side: SideName): CompareSide =>
      new CompareSide(this.current[side], this.tools.folders, {
        state: (state) => {
          this.send({ type: "side", side, state });
          this.entitle();
        },
        changed: (change) => {
          this.send({ type: "changed", side, change });
        },
        back: () => {
          this.send({ type: "back" });
        },
      });
    return { one: open("one"), other: open("other") };
  }

  private async read(side: SideName, { request, method, params }: Ask): Promise<void> {
    const { asked, source, place } = this.sides[side];
    const cancel = new CancellationTokenSource();
    asked.set(request, cancel);
    try {
      const result = await source.request(method, { ...params, trace_id: place.traceId }, cancel.token);
      this.send({ type: "answer", side, answer: { type: "read", request, result } });
    } catch (error) {
      const message = isCancelled(error) ? "It was not read any more." : problemOf(error).message;
      this.send({ type: "answer", side, answer: { type: "readFailed", request, message } });
    } finally {
      if (asked.get(request) === cancel) {
        asked.delete(request);
      }
      cancel.dispose();
    }
  }

  private async compare(layer: number | null): Promise<void> {
    const known = this.compared.get(layer);
    if (known !== undefined) {
      this.send({ type: "compared", layer, result: known });
      return;
    }
    if (this.comparing.has(layer)) {
      return; // its answer is on the way
    }
    const { one, other } = this.current;
    const params = {
      trace_id: one.traceId,
      other_id: other.traceId,
      other_dir: one.folder === other.folder ? null : other.folder,
      layer,
      heads: layer !== null,
    };
    const cancel = new CancellationTokenSource();
    this.comparing.set(layer, cancel);
    try {
      const result = await this.sides.one.source.request("compare_traces", params, cancel.token);
      if (!cancel.token.isCancellationRequested) {
        this.compared.set(layer, result);
        this.send({ type: "compared", layer, result });
      }
    } catch (error) {
      if (!cancel.token.isCancellationRequested && !isCancelled(error)) {
        this.send({ type: "notCompared", layer, message: problemOf(error).message });
      }
    } finally {
      if (this.comparing.get(layer) === cancel) {
        this.comparing.delete(layer);
      }
      cancel.dispose();
    }
  }

  private cancelAll(): void {
    SIDES.forEach((name) => {
      this.sides[name].cancelAll();
    });
    for (const cancel of this.comparing.values()) {
      cancel.cancel();
    }
    this.comparing.clear();
  }

  private entitle(): void {
    const prompts = SIDES.map((name) => this.sides[name].prompt ?? this.current[name].traceId);
    const [a = "", b = ""] = this.current.swapped ? prompts.reverse() : prompts;
    this.panel.title = comparedTitle(a, b);
  }

  private sendSettings(): void {
    this.send({ type: "settings", colourMap: colourMap() });
  }

  private send(message: ToComparePage): void {
    void this.panel.webview.postMessage(message);
  }
}
