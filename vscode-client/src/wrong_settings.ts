// Settings of ours whose values cannot be used: VS Code underlines them where they stand, and there we lead.

import { commands, env, extensions, window, workspace } from "vscode";
import { Problem } from "./problems";
import { deviceFault, faultOf, type SettingSchema } from "./setting_schema";

const EXTENSION = "nanoscope.nanoscope";
const DEVICE = "nanoscope.device";
const SHOWN_MS = 8_000;

interface Manifest {
  contributes: { configuration: { properties: Record<string, SettingSchema> } };
}

export interface WrongSetting {
  key: string;
  message: string;
}

/** The first setting with a value that it may not have, of those whose names begin so. */
export function wrongSetting(beginning = ""): WrongSetting | undefined {
  const manifest = extensions.getExtension(EXTENSION)?.packageJSON as Manifest | undefined;
  const settings = workspace.getConfiguration();
  for (const [key, schema] of Object.entries(manifest?.contributes.configuration.properties ?? {})) {
    const value = settings.get<unknown>(key);
    const further = key === DEVICE ? deviceFault(value) : undefined;
    const fault = key.startsWith(beginning) ? (faultOf(value, schema) ?? further) : undefined;
    if (fault !== undefined) {
      return { key, message: `${key} must ${fault}.` };
    }
  }
  return undefined;
}

/** Raises Problem, before anything is done with a setting that cannot be used. */
export function refuseWrongSettings(beginning: string): void {
  const wrong = wrongSetting(beginning);
  if (wrong !== undefined) {
    throw new Problem("SETTING_INVALID", wrong.message);
  }
}

/** Open the settings at the wrong one, where it is underlined; false: none of them is wrong. */
export async function leadToWrongSetting(): Promise<boolean> {
  const wrong = wrongSetting();
  if (wrong === undefined) {
    return false;
  }
  const { workspaceValue } = workspace.getConfiguration().inspect(wrong.key) ?? {};
  const users = env.remoteName === undefined ? "openSettingsJson" : "openRemoteSettingsFile";
  const file = workspaceValue === undefined ? users : "openWorkspaceSettingsFile";
  await commands.executeCommand(`workbench.action.${file}`, { revealSetting: { key: wrong.key } });
  window.setStatusBarMessage(`$(error) ${wrong.message}`, SHOWN_MS);
  return true;
}
