// The connection to the daemon: one attempt after another while it is wanted, and the requests that wait for it.

import { EventEmitter, type CancellationToken, type Disposable, type Event, type LogOutputChannel } from "vscode";
import { Backoff } from "./backoff";
import { disposeAll } from "../disposables";
import {
  EditorSession,
  type Hooks,
  type LensCommand,
  type Notified,
  type Params,
  type RequestId,
  type Result,
} from "./language_client";
import { Problem, problemOf, type ProblemName } from "../problems";
import { PROTOCOL_VERSION, REPEATABLE, type HelloResult, type MethodName, type TracesChanged } from "../protocol";
import type { Command } from "./pump";
import type { TraceSource } from "./trace_source";

/** `waiting`: between two attempts; `blocked`: until the user does something, or the world has changed. */
export type DaemonState =
  | { kind: "idle" }
  | { kind: "starting" }
  | { kind: "running"; greeting: HelloResult }
  | { kind: "waiting"; problem: Problem; failures: number }
  | { kind: "blocked"; problem: Problem };

/** What no further attempt mends by itself. */
const BLOCKING: ReadonlySet<ProblemName> = new Set([
  "PYTHON_MISSING",
  "PACKAGE_MISSING",
  "VERSION_MISMATCH",
  "SETTING_INVALID",
  "RUN_FOLDER_UNSAFE",
]);
const LOOK_AGAIN_MS = 30_000;
const PATIENCE_MS = 60_000;

export interface Surroundings {
  output: LogOutputChannel;
  /** Which command to run now; `anew`: what it was before has failed. Raises Problem. */
  command(anew: boolean): Promise<Command>;
  tracesDir(): string | undefined;
  message: Hooks["message"];
}

export class Daemon implements TraceSource, Disposable {
  private readonly stateEmitter = new EventEmitter<DaemonState>();
  private readonly readyEmitter = new EventEmitter<void>();
  private readonly notifiedEmitter = new EventEmitter<Notified>();
  private readonly tracesEmitter = new EventEmitter<TracesChanged>();
  readonly onState: Event<DaemonState> = this.stateEmitter.event;
  readonly onReady: Event<void> = this.readyEmitter.event;
  readonly onNotified: Event<Notified> = this.notifiedEmitter.event;
  readonly onTracesChanged: Event<TracesChanged> = this.tracesEmitter.event;

  private current: DaemonState = { kind: "idle" };
  private session: EditorSession | undefined;
  private readonly backoff = new Backoff();
  private wake = (): void => undefined;
  private held: Promise<unknown> = Promise.resolve();
  private disposed = false;
  private changes = 0; // of what a connection is made with; one that began before the last of them is not kept

  constructor(private readonly surroundings: Surroundings) {}

  get state(): DaemonState {
    return this.current;
  }

  /** From now on it is wanted: connect, and again whenever the connection is lost. */
  start(): void {
    if (this.current.kind === "idle" && !this.disposed) {
      void this.keepConnected();
    }
  }

  /** Try now, without waiting for the next attempt's time. */
  connect(): void {
    this.start();
    this.backoff.reset();
    this.wake();
  }

  /** Hang up, do something, and connect anew; for settings that changed, and for a daemon to be ended. */
  async reconnect(meanwhile: () => Promise<void> = () => Promise.resolve()): Promise<void> {
    this.changes += 1;
    const held = this.held.then(async () => {
      await this.session?.close();
      await meanwhile();
    });
    this.held = held.catch(() => undefined);
    try {
      await held;
    } finally {
      this.connect();
    }
  }

  async request<M extends MethodName>(
    method: M,
    params: Params<M>,
    token?: CancellationToken,
    onId?: (id: RequestId) => void,
  ): Promise<Result<M>> {
    const session = await this.running(token);
    try {
      return await session.request(method, params, token, onId);
    } catch (error) {
      if (
        !REPEATABLE.has(method) ||
        problemOf(error).name !== "CONNECTION_LOST" ||
        token?.isCancellationRequested === true
      ) {
        throw error;
      }
      return (await this.running(token, session)).request(method, params, token);
    }
  }

  /** One of the daemon's own commands, which a code lens has called. */
  async execute<T>(command: LensCommand, token?: CancellationToken): Promise<T> {
    return (await this.running(token)).execute<T>(command, token);
  }

  dispose(): void {
    void this.stop();
  }

  async stop(): Promise<void> {
    this.disposed = true;
    this.wake();
    const session = this.session;
    this.session = undefined;
    disposeAll(this.stateEmitter, this.readyEmitter, this.notifiedEmitter, this.tracesEmitter);
    await session?.close();
  }

  private async keepConnected(): Promise<void> {
    let anew = false;
    for (let failures = 0; !this.disposed;) {
      this.set({ kind: "starting" });
      const opened = Date.now();
      const { changes } = this;
      const problem: Problem | undefined = await this.connectedOnce(anew).catch(problemOf);
      this.session = undefined;
      anew = problem !== undefined;
      if (this.isDisposed()) {
        return;
      }
      if (changes !== this.changes) {
        failures = 0;
      } else if (problem === undefined) {
        failures = 0;
        await this.pause(this.backoff.next(Date.now() - opened));
      } else if (BLOCKING.has(problem.name)) {
        this.set({ kind: "blocked", problem });
        await this.pause(LOOK_AGAIN_MS);
      } else {
        failures += 1;
        this.surroundings.output.warn(problem.message);
        this.set({ kind: "waiting", problem, failures });
        await this.pause(this.backoff.next(0));
      }
    }
  }

  /** Connect, and stay so until the connection ends. Raises Problem where it never came up. */
  private async connectedOnce(anew: boolean): Promise<undefined> {
    await this.held;
    const { output, message } = this.surroundings;
    const begun = Date.now();
    const { changes } = this;
    const command = await this.surroundings.command(anew);
    const session = await EditorSession.open(command, {
      output,
      message,
      tracesDir: this.surroundings.tracesDir(),
      notified: (notification) => {
        this.notified(notification);
      },
    });
    if (this.isDisposed()) {
      await session.close();
      return;
    }
    try {
      const greeting = await Promise.race([session.request("hello", {}), session.closed.then(lost)]);
      if (changes !== this.changes) {
        return;
      }
      checkProtocol(greeting, command.python);
      output.info(
        `Connected to the daemon, pid ${greeting.pid}, in ${Date.now() - begun} ms; traces in ${greeting.traces_dir}`,
      );
      this.session = session;
      this.set({ kind: "running", greeting });
      this.readyEmitter.fire();
      await session.closed;
      output.info("The connection to the daemon has ended.");
    } finally {
      await session.close();
    }
  }

  private notified(notification: Notified): void {
    if (notification.name === "traces_changed") {
      this.tracesEmitter.fire(notification.params);
    }
    this.notifiedEmitter.fire(notification);
  }

  /** The session, once it runs. `not`: one that is known to have ended. */
  private running(token: CancellationToken | undefined, not?: EditorSession): Promise<EditorSession> {
    this.start();
    const settled = (): EditorSession | Problem | undefined => {
      if (this.current.kind === "running" && this.session !== undefined && this.session !== not) {
        return this.session;
      }
      return this.current.kind === "blocked" ? this.current.problem : undefined;
    };
    const already = settled();
    if (already !== undefined) {
      return already instanceof Problem ? Promise.reject(already) : Promise.resolve(already);
    }
    return new Promise((resolve, reject) => {
      const look = (): void => {
        const outcome = settled();
        if (outcome !== undefined) {
          done();
          if (outcome instanceof Problem) {
            reject(outcome);
          } else {
            resolve(outcome);
          }
        }
      };
      const giveUp = (): void => {
        done();
        reject(this.current.kind === "waiting" ? this.current.problem : lostProblem());
      };
      const listeners = [this.onState(look), token?.onCancellationRequested(giveUp)];
      const timer = setTimeout(giveUp, PATIENCE_MS);
      const done = (): void => {
        clearTimeout(timer);
        disposeAll(...listeners);
      };
    });
  }

  private pause(milliseconds: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, milliseconds);
      this.wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  private set(state: DaemonState): void {
    this.current = state;
    this.stateEmitter.fire(state);
  }

  private isDisposed(): boolean {
    return this.disposed;
  }
}

function lostProblem(): Problem {
  return new Problem("CONNECTION_LOST", "The daemon does not answer; it is being started again.");
}

function lost(): never {
  throw lostProblem();
}

/** The pump sees to it that the daemon fits its package; this compares the package with the extension. */
function checkProtocol(greeting: HelloResult, python: string): void {
  if (greeting.protocol_version !== PROTOCOL_VERSION) {
    throw new Problem(
      "VERSION_MISMATCH",
      `nanoscope ${greeting.package_version} in ${python} speaks protocol ${greeting.protocol_version}, this extension ` +
        `${PROTOCOL_VERSION}: update the older of the two.`,
    );
  }
}
