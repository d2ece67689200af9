// Runs nanoscope's command line once and waits for it.

import { execFile } from "node:child_process";
import type { Command } from "./pump";

const LIMIT_MS = 60_000;
const OUTPUT_LIMIT = 16 * 1024 * 1024;

export interface Output {
  ok: boolean;
  stdout: string;
  stderr: string;
}

export function runNanoscope(command: Command, words: readonly string[]): Promise<Output> {
  const options = { cwd: command.folder, timeout: LIMIT_MS, maxBuffer: OUTPUT_LIMIT, windowsHide: true };
  return new Promise((resolve) => {
    execFile(command.python, ["-m", "nanoscope", ...words], options, (error, stdout, stderr) => {
      resolve({ ok: error === null, stdout, stderr: stderr.trim() || (error?.message ?? "") });
    });
  });
}
