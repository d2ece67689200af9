// Capturing: a prompt from an input box, from a selection, or from a code lens; the text shows as it streams.

import { commands, ProgressLocation, window, type CancellationToken, type Progress } from "vscode";
import type { App, CommandTable } from "../app";
import { tell } from "../app";
import { isCancelled, Problem, problemOf } from "../problems";
import type { GenerateAndCaptureParams, GenerateAndCaptureResult } from "../protocol";
import { captureDefaults, capturesChats } from "../settings";
import { onOneLine } from "../views/tree_groups";
import type { RequestId } from "../language_client";

const PROMPT_KEY = "prompt";
const SHOWN_LENGTH = 160;
const SHOW_MS = 80;

export function captureCommands(app: App): CommandTable {
  return {
    "nanoscope.captureTrace": async (given) => {
      const prompt = typeof given === "string" ? given : await askPrompt(app);
      return prompt === undefined ? undefined : capture(app, paramsOf(prompt));
    },
    "nanoscope.captureSelection": () => {
      const prompt = selectedText();
      if (prompt === undefined) {
        throw new Problem("PROMPT_INVALID", "Select text in an editor first: it is the prompt.", [
          { label: "Type a Prompt", command: "nanoscope.captureTrace" },
        ]);
      }
      return capture(app, paramsOf(prompt));
    },
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

function selectedText(): string | undefined {
  const editor = window.activeTextEditor;
  const text = editor?.selections.map((selection) => editor.document.getText(selection)).join("\n");
  return text === undefined || text.trim() === "" ? undefined : text;
}

function paramsOf(prompt: string): GenerateAndCaptureParams {
  const text = capturesChats() ? { messages: [{ role: "user" as const, content: prompt }] } : { prompt };
  return { ...captureDefaults(), ...text };
}

/** Generate with progress that can be cancelled, then show the trace. */
export async function capture(
  app: App,
  params: GenerateAndCaptureParams,
): Promise<GenerateAndCaptureResult | undefined> {
  const subject = params.prompt ?? params.messages?.at(-1)?.content ?? "";
  const options = {
    location: ProgressLocation.Notification,
    title: `Capturing “${onOneLine(subject)}”`,
    cancellable: true,
  };
  try {
    const result = await window.withProgress(options, (progress, token) => generate(app, params, progress, token));
    app.store.select({ traceId: result.trace_id });
    await commands.executeCommand("nanoscope.attention.focus", { preserveFocus: true });
    return result;
  } catch (error) {
    if (!isCancelled(error)) {
      await offerAgain(app, params, problemOf(error));
    }
    return undefined;
  }
}

async function generate(
  app: App,
  params: GenerateAndCaptureParams,
  progress: Progress<{ message?: string; increment?: number }>,
  token: CancellationToken,
): Promise<GenerateAndCaptureResult> {
  let id: RequestId | undefined;
  const shown = new Streamed(progress, params.max_tokens ?? 0);
  const listener = app.daemon.onNotified(({ name, params: told }) => {
    if (name === "generation_progress" && told.request === id) {
      shown.token(told.text);
    } else if (name === "request_progress" && told.request === id && told.state !== "running") {
      progress.report({ message: told.message ?? "" });
    }
  });
  progress.report({ message: "Waiting for the daemon." });
  try {
    return await app.daemon.request("generate_and_capture", { ...params, stream: true }, token, (number) => {
      id = number;
    });
  } finally {
    listener.dispose();
    shown.dispose();
  }
}

/** The end of the text so far, a few times a second. */
class Streamed {
  private text = "";
  private increment = 0;
  private timer: NodeJS.Timeout | undefined;

  constructor(
    private readonly progress: Progress<{ message?: string; increment?: number }>,
    private readonly maxTokens: number,
  ) {}

  token(text: string): void {
    this.text += text;
    this.increment += this.maxTokens > 0 ? 100 / this.maxTokens : 0;
    this.timer ??= setTimeout(() => {
      this.show();
    }, SHOW_MS);
  }

  dispose(): void {
    clearTimeout(this.timer);
  }

  private show(): void {
    const text = this.text.replace(/\s+/g, " ");
    const message = text.length > SHOWN_LENGTH ? `…${text.slice(-SHOWN_LENGTH)}` : text;
    this.progress.report({ message, increment: this.increment });
    this.increment = 0;
    this.timer = undefined;
  }
}

async function offerAgain(app: App, params: GenerateAndCaptureParams, problem: Problem): Promise<void> {
  app.output.error(`Capture: ${problem.message}`);
  if (problem.name !== "CONNECTION_LOST" && problem.name !== "QUEUE_FULL") {
    await tell(problem);
    return;
  }
  const message =
    problem.name === "QUEUE_FULL" ? problem.message : "The daemon went away while it wrote; nothing else is lost.";
  if ((await window.showWarningMessage(message, "Capture Again")) !== undefined) {
    await capture(app, params);
  }
}
