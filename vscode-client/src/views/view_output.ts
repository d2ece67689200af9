// What a webview gives out: files that the user keeps, text for the clipboard.

import path from "node:path";
import { commands, env, Uri, window, workspace } from "vscode";
import type { FromView } from "../shared/messages";

type Given<T extends FromView["type"]> = Extract<FromView, { type: T }>;

const KINDS: Record<string, string> = { png: "PNG", svg: "SVG", csv: "CSV" };
const OPEN = "Open";

/** Asks where, writes it there, and says so. @param near beside which it is offered */
export async function saveFile({ name, encoding, data }: Given<"save">, near?: Uri): Promise<void> {
  const kind = path.extname(name).slice(1);
  const folder = workspace.workspaceFolders?.[0]?.uri ?? (near === undefined ? undefined : Uri.joinPath(near, ".."));
  const offered = fileNameOf(name);
  const target = await window.showSaveDialog({
    title: `Save ${KINDS[kind] ?? kind}`,
    ...(folder === undefined ? {} : { defaultUri: Uri.joinPath(folder, offered) }),
    filters: { [KINDS[kind] ?? kind]: [kind] },
  });
  if (target === undefined) {
    return;
  }
  try {
    await workspace.fs.writeFile(target, Buffer.from(data, encoding === "base64" ? "base64" : "utf8"));
  } catch (error) {
    void window.showErrorMessage(`${path.basename(target.path)} could not be written: ${String(error)}`);
    return;
  }
  const answer = await window.showInformationMessage(`Saved ${path.basename(target.path)}.`, OPEN);
  if (answer === OPEN) {
    await commands.executeCommand("vscode.open", target);
  }
}

export async function copyText({ text, what }: Given<"copy">): Promise<void> {
  await env.clipboard.writeText(text);
  window.setStatusBarMessage(`Copied ${what}`, 3000);
}

/** Without what no file's name may have. */
function fileNameOf(name: string): string {
  return name.replace(/[^\w.+-]+/g, "_").slice(-120);
}
