// One connection by the Language Server Protocol: a fresh client over a fresh `nanoscope stdio`, which ends with it.
//
// vscode-languageclient 9 is the last line that VS Code 1.91 needs nothing newer for, and speaks LSP 3.17 as the daemon
// does. A client of any version gives up for good where a start fails, and tells the user of every failure by a dialog.
// So a client here is never restarted: it is one attempt, silent, and daemon.ts makes the next.

import { randomUUID } from "node:crypto";
import type { CancellationToken, OutputChannel } from "vscode";
import {
  CloseAction,
  ErrorAction,
  LanguageClient,
  StreamMessageReader,
  StreamMessageWriter,
  ExecuteCommandRequest,
  type LanguageClientOptions,
  type Message,
  type MessageTransports,
  WorkDoneProgress,
} from "vscode-languageclient/node";
import { Pump, type Command } from "./pump";
import type { Methods, MethodName, NotificationName, Notifications } from "../protocol";

export type Params<M extends MethodName> = Methods[M]["params"];
export type Result<M extends MethodName> = Methods[M]["result"];
export type RequestId = number | string;
export type Notified = { [N in NotificationName]: { name: N; params: Notifications[N] } }[NotificationName];

const NOTIFICATIONS: readonly NotificationName[] = [
  "traces_changed",
  "generation_progress",
  "request_progress",
  "model_changed",
  "status_changed",
];
const STOP_MS = 2_000;

export interface Hooks {
  output: OutputChannel;
  tracesDir: string | undefined;
  notified(notification: Notified): void;
  /** What the daemon wants shown to the user, which may come again with every connection. */
  message(text: string): void;
}

/** A command of the daemon's own, as a code lens calls it; `report` is told how it goes. */
export interface LensCommand {
  command: string;
  arguments: readonly unknown[];
  report: (message: string) => void;
}

/** Says nothing on its own: failures are told once, by daemon.ts. */
class QuietClient extends LanguageClient {
  /** The daemon's commands are ours to register: they outlive a connection, and two of them show what they do. */
  override registerFeature(feature: Parameters<LanguageClient["registerFeature"]>[0]): void {
    if (!("registrationType" in feature && feature.registrationType.method === ExecuteCommandRequest.method)) {
      super.registerFeature(feature);
    }
  }

  override error(message: string, data?: unknown): void {
    super.error(message, data, false);
  }

  override warn(message: string, data?: unknown): void {
    super.warn(message, data, false);
  }

  /** A client whose start fails stops itself, finds that it never ran, and leaves the rejection to nobody. */
  override stop(timeout?: number): Promise<void> {
    return super.stop(timeout).catch(() => undefined);
  }
}

export class EditorSession {
  readonly closed: Promise<void>;
  private over = false;
  private readonly idWatchers = new WeakMap<object, (id: RequestId) => void>();

  private constructor(
    private readonly client: LanguageClient,
    private readonly pump: Pump,
    writer: StreamMessageWriter,
    closed: Promise<void>,
    private readonly tellClosed: () => void,
  ) {
    this.closed = closed.then(() => {
      this.over = true;
    });
    const write = writer.write.bind(writer);
    writer.write = (message: Message) => {
      this.tellId(message);
      return write(message);
    };
  }

  /** Connect. Raises Problem. */
  static async open(command: Command, hooks: Hooks): Promise<EditorSession> {
    const pump = new Pump(command, (text) => {
      hooks.output.appendLine(text);
    });
    const writer = new StreamMessageWriter(pump.process.stdin);
    const transports: MessageTransports = { reader: new StreamMessageReader(pump.process.stdout), writer };
    let close = (): void => undefined;
    const closed = new Promise<void>((resolve) => {
      close = resolve;
    });
    let settle = (): void => undefined;
    const settled = new Promise<void>((resolve) => {
      settle = resolve;
    });
    const onClosed = (): Promise<void> => {
      close();
      return settled; // a close before the start has failed makes the client lose the failure
    };
    const clientOptions = options(hooks, onClosed);
    const client = new QuietClient("nanoscope", "nanoscope", () => Promise.resolve(transports), clientOptions);
    for (const name of NOTIFICATIONS) {
      client.onNotification(name, (params: unknown) => {
        hooks.notified({ name, params } as Notified);
      });
    }
    const session = new EditorSession(client, pump, writer, closed, close);
    try {
      await client.start();
    } catch {
      pump.process.stdin.end();
      throw await pump.ended;
    } finally {
      settle();
    }
    return session;
  }

  /** `onId` is told the request's number before it leaves: notifications about it carry that. */
  request<M extends MethodName>(
    method: M,
    params: Params<M>,
    token?: CancellationToken,
    onId?: (id: RequestId) => void,
  ): Promise<Result<M>> {
    if (onId !== undefined) {
      this.idWatchers.set(params, onId);
    }
    return token === undefined
      ? this.client.sendRequest<Result<M>>(method, params)
      : this.client.sendRequest<Result<M>>(method, params, token);
  }

  async execute<T>({ command, arguments: given, report }: LensCommand, token?: CancellationToken): Promise<T> {
    const workDoneToken = randomUUID();
    const listener = this.client.onProgress(WorkDoneProgress.type, workDoneToken, (progress) => {
      if (progress.kind === "report" && progress.message !== undefined) {
        report(progress.message);
      }
    });
    try {
      return await this.client.sendRequest<T>(
        ExecuteCommandRequest.method,
        { command, arguments: given, workDoneToken },
        token,
      );
    } finally {
      listener.dispose();
    }
  }

  async close(): Promise<void> {
    if (!this.over) {
      await this.client.stop(STOP_MS);
    } // else the client has stopped itself
    await this.pump.stop();
    this.tellClosed(); // the client tells only of an end that it did not bring about
  }

  private tellId(message: Message): void {
    const { id, params } = message as { id?: RequestId; params?: unknown };
    if (id !== undefined && typeof params === "object" && params !== null) {
      this.idWatchers.get(params)?.(id);
    }
  }
}

function options(hooks: Hooks, onClosed: () => Promise<void>): LanguageClientOptions {
  return {
    documentSelector: [{ language: "prompt" }, { language: "markdown" }],
    outputChannel: hooks.output,
    initializationOptions: hooks.tracesDir === undefined ? {} : { traces_dir: hooks.tracesDir },
    initializationFailedHandler: () => false,
    errorHandler: {
      error: () => ({ action: ErrorAction.Continue, handled: true }),
      closed: async () => {
        await onClosed();
        return { action: CloseAction.DoNotRestart, handled: true, message: "The connection has ended." };
      },
    },
    connectionOptions: {
      messageStrategy: {
        handleMessage: (message, next) => {
          const { method, params } = message as { method?: string; params?: { message?: unknown } };
          if (method === "window/showMessage") {
            hooks.message(String(params?.message));
          } else {
            next(message);
          }
        },
      },
    },
  };
}
