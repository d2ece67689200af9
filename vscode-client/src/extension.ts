// The extension: wiring only.

import { mkdirSync } from "node:fs";
import path from "node:path";
import { RelativePattern, window, workspace, type ExtensionContext, type LogOutputChannel } from "vscode";
import { register, tell, type App } from "./app";
import { captureCommands } from "./commands/capture";
import { compareCommands } from "./commands/compare";
import { daemonCommands } from "./commands/daemon";
import { forkCommands } from "./commands/fork";
import { modelCommands } from "./commands/model";
import { switchOffCommands } from "./commands/switch_off";
import { traceCommands } from "./commands/traces";
import { treeCommands } from "./commands/tree";
import { followContexts } from "./context_keys";
import { Daemon } from "./connection/daemon";
import { Folders } from "./connection/folders";
import type { Command } from "./connection/pump";
import { candidates, findPython, realWorld } from "./connection/python";
import {
  CONNECTION_SETTINGS,
  daemonFlags,
  followSettings,
  pythonSetting,
  tracesFolder,
  workspaceFolders,
} from "./settings";
import { Store } from "./store";
import { ConnectionAlerts } from "./connection/connection_alerts";
import { Reports } from "./views/reports";
import { registerSideViews } from "./views/side_views";
import { StatusBar } from "./views/status_bar";
import { registerTraceEditor, TraceEditor } from "./views/trace_editor";
import { TraceTabs } from "./views/trace_tabs";
import { TracesTree } from "./views/traces_tree";
import { followDocuments } from "./connection/auto_connect";

const PYTHON_KEY = "python";

let daemon: Daemon | undefined;

export function activate(context: ExtensionContext): void {
  const output = window.createOutputChannel("nanoscope", { log: true });
  const command = chosenCommand(context, output);
  const alerts = new ConnectionAlerts();
  daemon = new Daemon({
    output,
    command,
    tracesDir: tracesFolder,
    message: (text) => {
      alerts.message(text);
    },
  });
  const { workspaceState, extensionUri, subscriptions } = context;
  const store = new Store(daemon, workspaceState);
  const folders = new Folders(daemon, store.reads, command, (text) => {
    output.appendLine(text);
  });
  const tabs = new TraceTabs(extensionUri, store);
  const app: App = {
    context,
    output,
    daemon,
    store,
    tree: new TracesTree(store, workspaceState),
    tabs,
    reports: new Reports(),
    command,
  };
  const connected = daemon;
  const editor = new TraceEditor(extensionUri, store, folders, () => connected.request("hello", {}));
  subscriptions.push(
    output,
    daemon,
    store,
    folders,
    app.tree,
    tabs,
    app.reports,
    new StatusBar(daemon, store),
    registerTraceEditor(editor),
    registerSideViews(extensionUri, store, () => {
      connected.start();
    }),
    ...followContexts(daemon, store),
    ...followDocuments(daemon),
    ...followSurroundings(daemon),
    daemon.onState((state) => {
      const problem = alerts.worthTelling(state);
      if (problem !== undefined) {
        void tell(problem);
      }
    }),
  );
  for (const table of [captureCommands, daemonCommands, modelCommands, traceCommands, treeCommands]) {
    register(app, table(app));
  }
  register(app, compareCommands(app, folders));
  register(app, switchOffCommands(app));
  register(app, forkCommands(app));
}

/** Which Python to run nanoscope with. The one that was found last is not looked at again until it fails. */
function chosenCommand(context: ExtensionContext, output: LogOutputChannel): (anew?: boolean) => Promise<Command> {
  const folder = context.globalStorageUri.fsPath;
  mkdirSync(folder, { recursive: true });
  const world = realWorld(folder);
  return async (anew = false) => {
    const { PATH: searchPath = "" } = process.env;
    const list = candidates(pythonSetting(), workspaceFolders(), searchPath, process.platform);
    const places = list.map(({ python }) => python).join(path.delimiter);
    const known = context.workspaceState.get<{ places: string; python: string }>(PYTHON_KEY);
    if (!anew && known?.places === places && (await world.exists(known.python))) {
      return { python: known.python, flags: daemonFlags(), folder };
    }
    const { python, origin, version } = await findPython(list, world);
    output.info(`Python ${version} at ${python}, from ${origin}`);
    void context.workspaceState.update(PYTHON_KEY, { places, python });
    return { python, flags: daemonFlags(), folder };
  };
}

export async function deactivate(): Promise<void> {
  await daemon?.stop();
}

/** Another Python, model or traces folder takes another connection. */
function followSurroundings(connected: Daemon): { dispose(): unknown }[] {
  const again = (): void => {
    if (connected.state.kind !== "idle") {
      void connected.reconnect();
    }
  };
  const folders = (workspace.workspaceFolders ?? []).map((folder) => {
    const watcher = workspace.createFileSystemWatcher(new RelativePattern(folder, "traces"), false, true, true);
    watcher.onDidCreate(() => {
      const { state } = connected;
      if (state.kind !== "running" || state.greeting.traces_dir !== tracesFolder()) {
        again();
      }
    });
    return watcher;
  });
  return [...folders, workspace.onDidChangeWorkspaceFolders(again), followSettings(CONNECTION_SETTINGS, again)];
}
