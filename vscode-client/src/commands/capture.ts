// Capturing: a prompt from an input box, from a selection, or from a code lens; the text shows as it streams.

import path from "node:path";
import { commands, ProgressLocation, Uri, window, type CancellationToken, type CodeAction } from "vscode";
import type { App, CommandTable } from "../app";
import { tell } from "../app";
import { againParams } from "../captured_again";
import { leadingToFault } from "../prompt_faults";
import { isCancelled, Problem, problemOf, type ProblemName } from "../problems";
import type { GenerateAndCaptureParams, GenerateAndCaptureResult } from "../protocol";
import { captureDefaults, capturesChats } from "../settings";
import { CAPTURE_AGAIN, type TraceData } from "../shared/messages";
import { onOneLine } from "../views/tree_groups";
import { streamed, type Report } from "./streamed";

const CAPTURE_PROMPT = "nanoscope.capturePrompt"; // the daemon's own command, which its lenses call
const PROMPT_KEY = "prompt";

export function captureCommands(app: App): CommandTable {
  return {
    "nanoscope.captureTrace": async (given) => {
      const prompt = typeof given === "string" ? given : await askPrompt(app);
      return prompt === undefined ? undefined : capturePrompt(app, prompt);
    },
    "nanoscope.captureSelection": () => {
      const prompt = selectedText();
      if (prompt === undefined) {
        throw new Problem("PROMPT_INVALID", "Select text in an editor first: it is the prompt.", [
          { label: "Type a Prompt", command: "nanoscope.captureTrace" },
        ]);
      }
      return capturePrompt(app, prompt);
    },
    "nanoscope.captureAtCursor": () => captureAtCursor(),
    [CAPTURE_AGAIN]: (trace, options) => captureAgain(app, trace as TraceData, options as object | undefined),
    [CAPTURE_PROMPT]: (...given) => captureLens(app, given),
  };
}

async function askPrompt(app: App): Promise<string | undefined> {
  const { workspaceState } = app.context;
  app.daemon.start(); // it gets ready while the prompt is typed
  const prompt = await window.showInputBox({
    title: "Capture Trace",
    prompt: capturesChats() ? "What you say to the model" : "The text that the model goes on from",
    placeHolder: "The capital of France is",
    value: workspaceState.get(PROMPT_KEY, ""),
    ignoreFocusOut: true,
    validateInput: (value) => (value.trim() === "" ? "Type a prompt." : undefined),
  });
  if (prompt !== undefined) {
    void workspaceState.update(PROMPT_KEY, prompt);
  }
  return prompt;
}

/** As the lens above the prompt does: the daemon knows which prompt the cursor is in. */
async function captureAtCursor(): Promise<unknown> {
  const editor = window.activeTextEditor;
  const found =
    editor === undefined
      ? []
      : await commands.executeCommand<CodeAction[]>(
          "vscode.executeCodeActionProvider",
          editor.document.uri,
          editor.selection,
          "nanoscope",
        );
  const capturing = found.find(({ command }) => command?.command === CAPTURE_PROMPT)?.command;
  if (capturing === undefined) {
    throw new Problem("PROMPT_INVALID", "There is no prompt at the cursor: put it into one first.", [
      { label: "Type a Prompt", command: "nanoscope.captureTrace" },
    ]);
  }
  return commands.executeCommand(CAPTURE_PROMPT, ...((capturing.arguments ?? []) as unknown[]));
}

function selectedText(): string | undefined {
  const editor = window.activeTextEditor;
  const text = editor?.selections.map((selection) => editor.document.getText(selection)).join("\n");
  return text === undefined || text.trim() === "" ? undefined : text;
}

function paramsOf(prompt: string): GenerateAndCaptureParams {
  const text = capturesChats() ? { messages: [{ role: "user" as const, content: prompt }] } : { prompt };
  return { ...captureDefaults(), ...text };
}

type Run = (progress: Report, token: CancellationToken) => Promise<GenerateAndCaptureResult>;

/** Generate with progress that can be cancelled, then show the trace, unless it is shown elsewhere. */
async function capture(app: App, title: string, run: Run, show = true): Promise<GenerateAndCaptureResult | undefined> {
  const options = { location: ProgressLocation.Notification, title, cancellable: true };
  try {
    const result = await window.withProgress(options, (progress, token) => {
      progress.report({ message: "Waiting for the daemon." });
      return run(progress, token);
    });
    if (show) {
      app.tabs.show(result.trace_id);
    }
    return result;
  } catch (error) {
    if (!isCancelled(error) && (await askAgain(app, problemOf(error)))) {
      return capture(app, title, run, show);
    }
    return undefined;
  }
}

function capturePrompt(app: App, prompt: string): Promise<GenerateAndCaptureResult | undefined> {
  return captureWith(app, prompt, paramsOf(prompt));
}

function captureWith(
  app: App,
  prompt: string,
  params: GenerateAndCaptureParams,
  show = true,
): Promise<GenerateAndCaptureResult | undefined> {
  const title = `Capturing “${onOneLine(prompt)}”`;
  return capture(
    app,
    title,
    (progress, token) => streamed(app, "generate_and_capture", params, progress, token, app.daemon),
    show,
  );
}

/**
 * A trace's prompt once more, as it was captured and with attention, in a file of the same format.
 *
 * @param layers those whose attention is wanted, where they are not the trace's own
 */
function captureAgain(
  app: App,
  trace: TraceData,
  { layers, show = true }: { layers?: readonly number[]; show?: boolean } = {},
): Promise<GenerateAndCaptureResult | undefined> {
  const { trace_id, prompt } = trace.summary;
  const format = (["json", "safetensors"] as const).find((one) => one === app.store.row(trace_id)?.format);
  const params = { ...againParams(trace, layers), ...(format === undefined ? {} : { format }) };
  return captureWith(app, prompt, params, show);
}

/** What a code lens over a prompt does; the daemon reads the prompt and its settings from the document. */
function captureLens(app: App, given: readonly unknown[]): Promise<GenerateAndCaptureResult | undefined> {
  const [uri, index] = given;
  const place = typeof uri === "string" ? path.posix.basename(Uri.parse(uri).path) : "the document";
  const title = `Capturing prompt ${typeof index === "number" ? index + 1 : ""} of ${place}`;
  return capture(app, title, (progress, token) => {
    const report = (message: string): void => {
      progress.report({ message });
    };
    const lens = { command: CAPTURE_PROMPT, arguments: given, report };
    return app.daemon.execute<GenerateAndCaptureResult>(lens, token).catch(leadingToFault(uri));
  });
}

const AGAIN: Partial<Record<ProblemName, string>> = {
  CONNECTION_LOST: "The connection to the daemon ended while it wrote; nothing else is lost.",
  QUEUE_FULL: "The model has too much to do already.",
};

/** Tell what went wrong; whether the user wants the same once more. */
async function askAgain(app: App, problem: Problem): Promise<boolean> {
  app.output.error(`Capture: ${problem.message}`);
  const message = AGAIN[problem.name];
  if (message === undefined) {
    void tell(problem);
    return false;
  }
  return (await window.showWarningMessage(message, "Capture Again")) !== undefined;
}
