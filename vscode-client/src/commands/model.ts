// Choosing the model that the daemon holds, for all its clients.

import path from "node:path";
import { ProgressLocation, QuickPickItemKind, window, type QuickPickItem } from "vscode";
import type { App, CommandTable } from "../app";
import type { CheckpointInfo, ListModelsResult, LoadModelParams, ModelInfo } from "../protocol";
import { modelName } from "../views/status_bar";

type Item = QuickPickItem & { model?: CheckpointInfo; folder?: boolean };

export function modelCommands(app: App): CommandTable {
  return {
    "nanoscope.chooseModel": async () => {
      const wish = await askModel(app);
      if (wish !== undefined) {
        await load(app, wish);
      }
    },
  };
}

async function askModel(app: App): Promise<LoadModelParams | undefined> {
  const listing = app.daemon.request("list_models", {});
  const chosen = await window.showQuickPick<Item>(listing.then(items), {
    title: "Choose Model",
    placeHolder: "All clients of the daemon use the model that you choose",
    matchOnDescription: true,
    matchOnDetail: true,
  });
  if (chosen?.folder === true) {
    return askFolder();
  }
  const model = chosen?.model;
  if (model === undefined) {
    return undefined;
  }
  const step = await askStep(model);
  return step === undefined ? undefined : { source: model.source, tag: model.tag, ...step };
}

function items({ models, current, base_dir }: ListModelsResult): Item[] {
  return [
    ...models.map((model) => ({
      label: `${holds(current, model) ? "$(check) " : ""}${model.source === model.tag ? model.source : `${model.source} ${model.tag}`}`,
      description: model.steps.length > 0 ? `step ${String(model.steps.at(-1))}` : "",
      detail: model.path,
      model,
    })),
    { label: "", kind: QuickPickItemKind.Separator },
    {
      label: "$(folder-opened) Another folder…",
      description: "with a checkpoint",
      detail: `Listed above: ${base_dir}`,
      folder: true,
    },
  ];
}

function holds(current: ModelInfo, model: CheckpointInfo): boolean {
  return current.state === "ready" && current.path != null && path.dirname(current.path) === model.path;
}

async function askFolder(): Promise<LoadModelParams | undefined> {
  const [folder] =
    (await window.showOpenDialog({ canSelectFolders: true, canSelectFiles: false, title: "A Checkpoint's Folder" })) ??
    [];
  return folder === undefined ? undefined : { source: path.resolve(folder.fsPath) };
}

/** Which training step, where there are several; {} for the only one. */
async function askStep({ steps, tag }: CheckpointInfo): Promise<{ step?: number } | undefined> {
  if (steps.length < 2) {
    return {};
  }
  const newest = [...steps].sort((one, other) => other - one);
  const chosen = await window.showQuickPick(newest.map(String), { title: `Training Step of ${tag}` });
  return chosen === undefined ? undefined : { step: Number(chosen) };
}

async function load(app: App, wish: LoadModelParams): Promise<void> {
  const title = `Loading ${[path.basename(wish.source), wish.tag === wish.source ? null : wish.tag].filter(Boolean).join(" ")}`;
  const options = { location: ProgressLocation.Notification, title, cancellable: true };
  const { model } = await window.withProgress(options, (_progress, token) =>
    app.daemon.request("load_model", wish, token),
  );
  window.setStatusBarMessage(`$(check) The daemon holds ${modelName(model)}.`, 5_000);
  if (model.note != null && model.note !== "") {
    void window.showWarningMessage(`${modelName(model)}: ${model.note}`);
  }
}
