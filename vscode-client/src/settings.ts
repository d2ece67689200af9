// The user's settings, read once per use, and what of them the daemon is told.

import { existsSync, statSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { workspace, type Disposable } from "vscode";
import type { GenerateAndCaptureParams } from "./protocol";
import { refuseWrongSettings } from "./wrong_settings";

const SECTION = "nanoscope";

/** A change of these means another Python, another daemon or another folder: connect anew. */
export const CONNECTION_SETTINGS = ["pythonPath", "tracesFolder", "device", "model.source", "model.tag"];
export const COLOUR_MAP = "attention.colourMap";

/**
 * Calls `changed` when one of these settings has another value than before.
 *
 * The values are compared, not the keys that the event names: in a window that is reloaded VS Code may start the extension
 * before it has read the user's settings, and the event that brings them names none of ours.
 */
export function followSettings(names: readonly string[], changed: () => void): Disposable {
  const written = (): string => {
    const settings = workspace.getConfiguration(SECTION);
    return JSON.stringify(names.map((name) => settings.inspect(name)));
  };
  let known = written();
  return workspace.onDidChangeConfiguration(() => {
    const now = written();
    if (now !== known) {
      known = now;
      changed();
    }
  });
}

/** A value that is no text is as none: VS Code underlines it. */
function text(name: string): string {
  const value = workspace.getConfiguration(SECTION).get<unknown>(name);
  return typeof value === "string" ? value.trim() : "";
}

export function workspaceFolders(): string[] {
  return (workspace.workspaceFolders ?? []).filter(({ uri }) => uri.scheme === "file").map(({ uri }) => uri.fsPath);
}

export function pythonSetting(): string {
  const value = text("pythonPath");
  return /[\\/]/.test(value) ? expanded(value) : value; // a bare name is looked for on PATH
}

export function colourMap(): string {
  return text(COLOUR_MAP);
}

/** Flags of `nanoscope stdio`; what is not set is left to the environment and config.toml. */
export function daemonFlags(): string[] {
  const source = text("model.source");
  const rows: [string, string][] = [
    ["--device", text("device")],
    ["--source", /[\\/]/.test(source) || source.startsWith("~") ? expanded(source) : source],
    ["--model-tag", text("model.tag")],
  ];
  return rows.flatMap(([flag, value]) => (value === "" ? [] : [flag, value]));
}

/**
 * The traces folder that this window names to the daemon; undefined: the daemon's own.
 *
 * The workspace's own setting comes first, then its folder `traces` where there is one, then the user's setting.
 */
export function tracesFolder(): string | undefined {
  const given = workspace.getConfiguration(SECTION).inspect<string>("tracesFolder");
  const own = [given?.workspaceFolderValue, given?.workspaceValue].find((value) => value !== undefined && value !== "");
  if (own !== undefined) {
    return expanded(own);
  }
  const beside = workspaceFolders()
    .map((folder) => path.join(folder, "traces"))
    .find((folder) => existsSync(folder) && statSync(folder).isDirectory());
  const setting = text("tracesFolder");
  return beside ?? (setting === "" ? undefined : expanded(setting));
}

/** How a trace is captured, as the settings say; what is not set is left to the daemon. Raises Problem. */
export function captureDefaults(): GenerateAndCaptureParams {
  refuseWrongSettings(`${SECTION}.capture.`);
  const settings = workspace.getConfiguration(`${SECTION}.capture`);
  const format = text("format");
  const sites = settings.get<string[]>("sites", []);
  const layers = settings.get<number[]>("layers", []);
  const logits = settings.get<"default" | "generated" | "all" | "none" | number>("logits", "default");
  const dtype = settings.get<"default" | "float32" | "float16" | "bfloat16">("dtype", "default");
  const category = settings.get<string>("category", "").trim();
  const capture = {
    ...(sites.length > 0 ? { sites } : {}),
    ...(layers.length > 0 ? { layers } : {}),
    ...(logits !== "default" ? { logits: logits === "none" ? null : logits } : {}),
    ...(dtype !== "default" ? { dtype } : {}),
  };
  return {
    max_tokens: settings.get("maxTokens", 256),
    temperature: settings.get("temperature", 0.6),
    top_k: settings.get("topK", 50),
    seed: settings.get("seed", 42),
    ...(settings.get<boolean>("steps", false) ? { capture_intermediate_steps: true } : {}),
    ...(category === "" ? {} : { category }),
    ...(format === "json" || format === "safetensors" ? { format } : {}),
    ...(Object.keys(capture).length > 0 ? { capture } : {}),
  };
}

export function capturesChats(): boolean {
  return workspace.getConfiguration(`${SECTION}.capture`).get("chat", false);
}

/** `~` and `${workspaceFolder}` filled in; a relative path is taken from the workspace. */
function expanded(value: string): string {
  if (value === "") {
    return "";
  }
  const root = workspaceFolders()[0] ?? os.homedir();
  const filled = value.replace(/^~(?=$|[\\/])/, os.homedir()).replace(/\$\{workspaceFolder\}/g, root);
  return path.resolve(root, filled);
}
