// Connections to other folders than the session's: for a trace file that is opened from anywhere.
//
// The daemon serves each session one folder, so another folder takes a session of its own, which is small: no documents,
// no features, only the methods. It comes with the first request and goes with the last trace that is open there.

import path from "node:path";
import { EventEmitter, type CancellationToken, type Disposable } from "vscode";
import {
  createMessageConnection,
  StreamMessageReader,
  StreamMessageWriter,
  type MessageConnection,
} from "vscode-languageclient/node";
import type { Daemon } from "./daemon";
import { disposeAll, type Releasable } from "../disposables";
import type { Params, Result } from "./language_client";
import { problemOf } from "../problems";
import { Pump, type Command } from "./pump";
import type { MethodName, TracesChanged } from "../protocol";
import type { TraceSource } from "./trace_source";

export class Folders implements Disposable {
  private readonly opened = new Map<string, { folder: OtherFolder; users: number }>();

  /** @param own where the traces of the session's folder are asked for */
  constructor(
    private readonly daemon: Daemon,
    private readonly own: TraceSource,
    private readonly command: () => Promise<Command>,
    private readonly log: (text: string) => void,
  ) {}

  /** Whether the session itself serves this folder. */
  isOwn(folder: string): boolean {
    const { state } = this.daemon;
    return state.kind === "running" && path.resolve(state.greeting.traces_dir) === path.resolve(folder);
  }

  /** Tells, now or once the daemon has answered, that the session itself serves this folder. */
  onOwn(folder: string, tell: () => void): Disposable {
    const look = (): void => {
      if (this.isOwn(folder)) {
        listener.dispose();
        tell();
      }
    };
    const listener = this.daemon.onReady(look);
    look();
    return listener;
  }

  /** Where the traces of a folder are asked for; `release` it when they are no longer shown. */
  acquire(folder: string): { source: TraceSource; release: () => void } {
    if (this.isOwn(folder)) {
      return { source: this.own, release: () => undefined };
    }
    const entry = this.opened.get(folder) ?? {
      folder: new OtherFolder(folder, this, this.daemon, this.own, this.command, this.log),
      users: 0,
    };
    this.opened.set(folder, entry);
    entry.users += 1;
    const release = (): void => {
      entry.users -= 1;
      if (entry.users === 0) {
        this.opened.delete(folder);
        entry.folder.dispose();
      }
    };
    return { source: entry.folder, release };
  }

  dispose(): void {
    disposeAll(...[...this.opened.values()].map(({ folder }) => folder));
  }
}

class OtherFolder implements TraceSource, Disposable {
  private readonly readyEmitter = new EventEmitter<void>();
  private readonly tracesEmitter = new EventEmitter<TracesChanged>();
  readonly onReady = this.readyEmitter.event;
  readonly onTracesChanged = this.tracesEmitter.event;
  private readonly listeners: Releasable[];
  private connection: Promise<MessageConnection> | undefined;
  private pump: Pump | undefined;

  constructor(
    private readonly folder: string,
    private readonly folders: Folders,
    private readonly daemon: Daemon,
    private readonly own: TraceSource,
    private readonly command: () => Promise<Command>,
    private readonly log: (text: string) => void,
  ) {
    this.listeners = [
      this.readyEmitter,
      this.tracesEmitter,
      daemon.onReady(() => {
        this.readyEmitter.fire(); // whoever shows a trace asks again, and that connects
      }),
      own.onTracesChanged((change) => {
        if (this.isOwn()) {
          this.tracesEmitter.fire(change);
        }
      }),
    ];
  }

  async request<M extends MethodName>(method: M, params: Params<M>, token?: CancellationToken): Promise<Result<M>> {
    await this.daemon.request("hello", {}, token); // it is started once, and its problems are told once
    if (this.isOwn()) {
      return this.own.request(method, params, token); // which was not known when it was acquired
    }
    try {
      return await this.send(method, params, token);
    } catch (error) {
      if (problemOf(error).name !== "CONNECTION_LOST" || token?.isCancellationRequested === true) {
        throw error;
      }
      return this.send(method, params, token);
    }
  }

  dispose(): void {
    void this.pump?.stop();
    disposeAll(...this.listeners);
  }

  private isOwn(): boolean {
    return this.folders.isOwn(this.folder);
  }

  private async send<M extends MethodName>(
    method: M,
    params: Params<M>,
    token?: CancellationToken,
  ): Promise<Result<M>> {
    this.connection ??= this.connect();
    const connection = await this.connection;
    return token === undefined
      ? connection.sendRequest<Result<M>>(method, params)
      : connection.sendRequest<Result<M>>(method, params, token);
  }

  private async connect(): Promise<MessageConnection> {
    const pump = new Pump(await this.command(), this.log);
    this.pump = pump;
    const { stdout, stdin } = pump.process;
    const connection = createMessageConnection(new StreamMessageReader(stdout), new StreamMessageWriter(stdin));
    const forget = (): void => {
      this.connection = undefined;
      connection.dispose();
    };
    connection.onClose(forget);
    connection.onError(() => undefined);
    connection.onNotification("traces_changed", (params: TracesChanged) => {
      this.tracesEmitter.fire(params);
    });
    connection.listen();
    const initialize = {
      processId: null,
      rootUri: null,
      capabilities: {},
      clientInfo: { name: "VS Code, another folder" },
    };
    try {
      await Promise.race([
        connection.sendRequest("initialize", initialize),
        pump.ended.then((problem) => Promise.reject(problem)),
      ]);
      await connection.sendNotification("initialized", {});
      await connection.sendRequest("hello", { traces_dir: this.folder });
    } catch (error) {
      forget();
      void pump.stop();
      throw error;
    }
    return connection;
  }
}
