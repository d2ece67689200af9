// A trace run once more with something changed: progress as it writes, and then the two side by side.

import path from "node:path";
import { commands, ProgressLocation, window } from "vscode";
import type { App } from "../app";
import { comparedTitle } from "../comparison_title";
import type { Params, Result } from "../connection/language_client";
import type { TraceSource } from "../connection/trace_source";
import { isCancelled, problemOf } from "../problems";
import { COMPARE_TRACES } from "./compare";
import { streamed } from "./streamed";

const ANYWAY = "Run on This Model Anyway";

type Run = "intervene" | "fork_trace";

/** The trace that is run, and its prompt. */
interface Parent {
  trace_id: string;
  prompt: string;
}

/** `title`: of the progress, which can be cancelled. Raises Problem, or a cancellation. */
export async function compareWithRun<M extends Run>(
  app: App,
  source: TraceSource,
  { trace_id, prompt }: Parent,
  method: M,
  params: Params<M>,
  title: string,
): Promise<void> {
  const child = await run(app, source, method, params, title);
  if (child !== undefined) {
    const folder = path.dirname(child.path);
    await commands.executeCommand(
      COMPARE_TRACES,
      { folder, traceId: trace_id },
      { folder, traceId: child.trace_id },
      comparedTitle(prompt, child.prompt),
    );
  }
}

/** With `anyway`, on another model than the one that wrote the trace. Undefined where that was not wanted. */
async function run<M extends Run>(
  app: App,
  source: TraceSource,
  method: M,
  params: Params<M>,
  title: string,
): Promise<Result<M> | undefined> {
  const options = { location: ProgressLocation.Notification, title, cancellable: true };
  try {
    return await window.withProgress(options, (progress, token) =>
      streamed(app, method, params, progress, token, source),
    );
  } catch (error) {
    const problem = problemOf(error);
    if (isCancelled(error) || problem.name !== "OTHER_MODEL" || params.anyway === true) {
      throw error;
    }
    const chosen = await window.showWarningMessage(problem.message, ANYWAY);
    return chosen === ANYWAY ? run(app, source, method, { ...params, anyway: true }, title) : undefined;
  }
}
