// One run of `nanoscope stdio`: the process, and what it said when it ended.

import { spawn, type ChildProcessWithoutNullStreams } from "node:child_process";
import { problemOfStderr, type Problem } from "../problems";

const STDERR_LIMIT = 8_192;
const END_MS = 2_000;

export interface Command {
  python: string;
  flags: readonly string[];
  /** Where it runs: not in the workspace, whose modules could be taken for nanoscope's. */
  folder: string;
}

export class Pump {
  readonly process: ChildProcessWithoutNullStreams;
  readonly ended: Promise<Problem>;
  private stderr = "";

  constructor(command: Command, log: (text: string) => void) {
    this.process = spawn(command.python, ["-m", "nanoscope", "stdio", ...command.flags], {
      cwd: command.folder,
      windowsHide: true,
    });
    this.process.stderr.setEncoding("utf8").on("data", (text: string) => {
      this.stderr = (this.stderr + text).slice(-STDERR_LIMIT);
      log(text.trimEnd());
    });
    this.process.stdin.on("error", () => undefined); // it has ended; `ended` tells
    this.ended = new Promise((resolve) => {
      this.process.once("error", (error) => {
        resolve(problemOfStderr("", error.message));
      });
      this.process.once("close", (status, signal) => {
        resolve(problemOfStderr(this.stderr, signal ?? `exit status ${String(status)}`));
      });
    });
  }

  /** End it: it goes by itself once its input is closed. */
  async stop(): Promise<void> {
    this.process.stdin.end();
    const timer = setTimeout(() => this.process.kill(), END_MS);
    await this.ended;
    clearTimeout(timer);
  }
}
