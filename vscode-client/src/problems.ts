// What went wrong, in words that say what to do, with the one click that does it.

import type { ErrorName } from "./protocol";
import type { ViewAction } from "./shared/messages";

export type ProblemName = ErrorName | "PYTHON_MISSING" | "PACKAGE_MISSING" | "CONNECTION_LOST" | "UNKNOWN";

export class Problem extends Error {
  constructor(
    override readonly name: ProblemName,
    message: string,
    readonly actions: readonly ViewAction[] = ACTIONS[name] ?? [],
  ) {
    super(message);
  }
}

const RESTART: ViewAction = { label: "Restart Daemon", command: "nanoscope.restartDaemon" };
const AGAIN: ViewAction = { label: "Try Again", command: "nanoscope.connect" };
const LOG: ViewAction = { label: "Show Log", command: "nanoscope.showLog" };
const DOCTOR: ViewAction = { label: "Doctor", command: "nanoscope.doctor" };
const MODEL: ViewAction = { label: "Choose Model", command: "nanoscope.chooseModel" };
const PYTHON: ViewAction = { label: "Open Setting", command: "nanoscope.openPythonSetting" };
const FOLDER: ViewAction = { label: "Choose Traces Folder", command: "nanoscope.openTracesSetting" };
const REFRESH: ViewAction = { label: "Refresh", command: "nanoscope.refresh" };

const ACTIONS: Partial<Record<ProblemName, readonly ViewAction[]>> = {
  PYTHON_MISSING: [PYTHON, AGAIN],
  PACKAGE_MISSING: [{ label: "Copy pip Command", command: "nanoscope.copyInstallCommand" }, PYTHON, AGAIN],
  CONNECTION_LOST: [AGAIN, LOG],
  VERSION_MISMATCH: [RESTART, LOG],
  SETTING_INVALID: [{ label: "Show Setting", command: "nanoscope.showWrongSetting" }, LOG],
  DAEMON_NOT_STARTED: [RESTART, LOG, DOCTOR],
  RUN_FOLDER_UNSAFE: [DOCTOR, LOG],
  MODEL_NOT_LOADED: [MODEL, DOCTOR],
  CHECKPOINT_INVALID: [MODEL, DOCTOR],
  MODEL_MISMATCH: [MODEL, { label: "Open Settings", command: "nanoscope.openSettings" }],
  STORAGE_FAILED: [FOLDER, DOCTOR],
  STORAGE_FULL: [FOLDER, DOCTOR],
  TRACE_NOT_FOUND: [REFRESH],
  TRACE_UNREADABLE: [{ label: "Open as Text", command: "nanoscope.openAsText" }],
  SHUTTING_DOWN: [AGAIN],
  INTERNAL_ERROR: [LOG, DOCTOR],
  UNKNOWN: [LOG, DOCTOR],
};

/** What the daemon answers where no problem is to be shown: the user, or we, took the request back. */
const CANCELLED_CODES = new Set<unknown>([-32800, -32802]);
const CLOSED_CODES = new Set<unknown>([-32097, -32099, -32096]);

export function isCancelled(error: unknown): boolean {
  return (
    error instanceof Error &&
    (error.name === "Canceled" || error.name === "CANCELLED" || CANCELLED_CODES.has(code(error)))
  );
}

/** Any error as a Problem: an RPC error by the name in its data, a closed connection, or something unforeseen. */
export function problemOf(error: unknown): Problem {
  if (error instanceof Problem) {
    return error;
  }
  if (!(error instanceof Error)) {
    return new Problem("UNKNOWN", String(error));
  }
  const name = dataName(error);
  if (name !== undefined) {
    return new Problem(name, error.message);
  }
  if (
    CLOSED_CODES.has(code(error)) ||
    /connection (got disposed|is (closed|disposed))|client is not running/i.test(error.message)
  ) {
    return new Problem(
      "CONNECTION_LOST",
      "The connection to the daemon ended in the middle. It is being made again: try once more.",
    );
  }
  return new Problem("UNKNOWN", error.message);
}

/** What `nanoscope stdio` said on stderr before it ended. */
export function problemOfStderr(text: string, status: string): Problem {
  const message = text
    .split("\n")
    .filter((line) => line.startsWith(PUMP))
    .at(-1)
    ?.slice(PUMP.length)
    .trim();
  if (message === undefined) {
    const last = text.trim().split("\n").at(-1) ?? "";
    const said =
      last === "" ? `The daemon hung up (${status}); its log says why.` : `nanoscope stdio: ${last} (${status})`;
    return new Problem("DAEMON_NOT_STARTED", said);
  }
  const name = STDERR_NAMES.find(([pattern]) => pattern.test(message))?.[1] ?? "DAEMON_NOT_STARTED";
  return new Problem(name, message);
}

const PUMP = "nanoscope stdio: ";
const STDERR_NAMES: readonly (readonly [RegExp, ProblemName])[] = [
  [/nanoscope stop --force/, "VERSION_MISMATCH"],
  [/There is no flag|needs a value|must be|is not a setting/i, "SETTING_INVALID"],
];

function code(error: Error): unknown {
  return "code" in error ? error.code : undefined;
}

function dataName(error: Error): ErrorName | undefined {
  if ("data" in error && typeof error.data === "object" && error.data !== null && "name" in error.data) {
    return error.data.name as ErrorName;
  }
  return undefined;
}
