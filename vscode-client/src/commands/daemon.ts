// Commands about the daemon: connect, restart, log, doctor, the menu behind the status bar item, and settings.

import { existsSync } from "node:fs";
import path from "node:path";
import { commands, env, window } from "vscode";
import type { App, CommandTable } from "../app";
import { runNanoscope } from "../connection/command_line";
import { doctorReport, parsedFindings, type Finding } from "../doctor_report";
import { Problem, problemOf } from "../problems";
import { installCommand, PackageMissing } from "../connection/python";
import { tracesFolder, workspaceFolders } from "../settings";
import { leadToWrongSetting } from "../wrong_settings";

const LOG_LINES = "60";

export function daemonCommands(app: App): CommandTable {
  return {
    "nanoscope.connect": () => {
      app.daemon.connect();
    },
    "nanoscope.restartDaemon": () => restart(app),
    "nanoscope.showLog": () => showLog(app),
    "nanoscope.doctor": async () => {
      await app.reports.show("nanoscope doctor", doctorReport(await findings(app)));
    },
    "nanoscope.menu": () => menu(app),
    "nanoscope.openPythonSetting": () => openSettings("nanoscope.pythonPath"),
    "nanoscope.openTracesSetting": () => openSettings("nanoscope.tracesFolder"),
    "nanoscope.openSettings": () => openSettings("@ext:nanoscope.nanoscope"),
    "nanoscope.showWrongSetting": async () => {
      if (!(await leadToWrongSetting())) {
        await openSettings("@ext:nanoscope.nanoscope");
      }
    },
    "nanoscope.copyInstallCommand": () => copyInstallCommand(app),
  };
}

async function restart(app: App): Promise<void> {
  await app.daemon.reconnect(async () => {
    const { ok, stderr } = await runNanoscope(await app.command(), ["stop", "--force"]);
    app.output.info(stderr);
    if (!ok) {
      throw new Problem("DAEMON_NOT_STARTED", stderr);
    }
  });
  window.setStatusBarMessage("$(sync) The daemon is being restarted.", 3_000);
}

/** The extension's own log, with the end of the daemon's. */
async function showLog(app: App): Promise<void> {
  app.output.show(true);
  const { stdout, stderr, ok } = await runNanoscope(await app.command(), ["logs", "--lines", LOG_LINES]);
  app.output.info(`The last lines of the daemon's log:\n${ok ? stdout : stderr}`);
}

async function findings(app: App): Promise<Finding[]> {
  try {
    const command = await app.command();
    const folder = tracesFolder();
    const traces = folder === undefined ? [] : ["--traces-dir", folder];
    const { stdout, stderr } = await runNanoscope(command, ["doctor", "--json", ...command.flags, ...traces]);
    return parsedFindings(stdout) ?? [{ check: "doctor", state: "fault", found: stderr, remedy: "" }];
  } catch (error) {
    const { message } = problemOf(error);
    return [
      {
        check: "python",
        state: "fault",
        found: message,
        remedy: "Set nanoscope.pythonPath, or install nanoscope there.",
      },
    ];
  }
}

/** The clone or the wheel that nanoscope is installed from; undefined: none was chosen. */
async function installationSource(): Promise<string | undefined> {
  const clone = workspaceFolders().find((folder) =>
    existsSync(path.join(folder, "nanochat/interpretability_engine.py")),
  );
  const entries: { label: string; description?: string; place?: string; folder?: boolean }[] = [
    ...(clone === undefined ? [] : [{ label: "$(repo) This Workspace", description: clone, place: clone }]),
    { label: "$(folder) A Clone of nanoscope…", folder: true },
    { label: "$(file-zip) A Wheel (.whl)…", folder: false },
  ];
  const chosen = await window.showQuickPick(entries, { title: "Install nanoscope From" });
  if (chosen === undefined || chosen.place !== undefined) {
    return chosen?.place;
  }
  const folder = chosen.folder === true;
  const found = await window.showOpenDialog({
    canSelectFolders: folder,
    canSelectFiles: !folder,
    ...(folder ? {} : { filters: { Wheels: ["whl"] } }),
    openLabel: "Install From Here",
  });
  return found?.[0]?.fsPath;
}

async function menu(app: App): Promise<void> {
  const { state } = app.daemon;
  const problem = state.kind === "blocked" || state.kind === "waiting" ? state.problem : undefined;
  const remedies = (problem?.actions ?? []).map(({ label, command }) => ({
    label: `$(lightbulb) ${label}`,
    command,
    detail: problem?.message ?? "",
  }));
  const entries = [
    { label: "$(record) Capture Trace…", command: "nanoscope.captureTrace" },
    { label: "$(list-tree) Show Traces", command: "nanoscope.traces.focus" },
    { label: "$(chip) Choose Model…", command: "nanoscope.chooseModel" },
    { label: "$(debug-restart) Restart Daemon", command: "nanoscope.restartDaemon" },
    { label: "$(output) Show Log", command: "nanoscope.showLog" },
    { label: "$(checklist) Doctor", command: "nanoscope.doctor" },
  ];
  const others = entries.filter(({ command }) => !remedies.some((remedy) => remedy.command === command));
  const chosen = await window.showQuickPick([...remedies, ...others], { title: "nanoscope" });
  if (chosen !== undefined) {
    await commands.executeCommand(chosen.command);
  }
}

/** In a remote window the page of the user's settings has none of ours: they belong to the machine or the workspace. */
async function openSettings(query: string): Promise<void> {
  const machine = env.remoteName === undefined ? "openSettings" : "openRemoteSettings";
  const page = workspaceFolders().length > 0 ? "openWorkspaceSettings" : machine;
  await commands.executeCommand(`workbench.action.${page}`, { query });
}

async function copyInstallCommand(app: App): Promise<void> {
  const { state } = app.daemon;
  const python = state.kind === "blocked" && state.problem instanceof PackageMissing ? state.problem.python : "python3";
  const from = await installationSource();
  if (from === undefined) {
    return;
  }
  const line = installCommand(python, from);
  await env.clipboard.writeText(line);
  void window.showInformationMessage(`Run this in a terminal; the views come by themselves afterwards: ${line}`);
}
