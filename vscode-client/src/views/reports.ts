// Read-only Markdown pages that a command writes and the editor shows: the doctor's findings, a comparison.

import { commands, EventEmitter, Uri, workspace, type Disposable, type TextDocumentContentProvider } from "vscode";
import { disposeAll, type Releasable } from "../disposables";

const SCHEME = "nanoscope";
const PREVIEW = "vscode.markdown.preview.editor"; // of one document; the other preview follows the active editor

export class Reports implements TextDocumentContentProvider, Disposable {
  private readonly changed = new EventEmitter<Uri>();
  readonly onDidChange = this.changed.event;
  private readonly texts = new Map<string, string>();
  private readonly listeners: Releasable[];

  constructor() {
    this.listeners = [this.changed, workspace.registerTextDocumentContentProvider(SCHEME, this)];
  }

  provideTextDocumentContent(uri: Uri): string {
    return this.texts.get(uri.path) ?? "This page is gone: run the command again.";
  }

  async show(name: string, markdown: string): Promise<void> {
    const uri = Uri.from({ scheme: SCHEME, path: `/${name}.md` });
    this.texts.set(uri.path, markdown);
    this.changed.fire(uri);
    await commands.executeCommand("vscode.openWith", uri, PREVIEW);
  }

  dispose(): void {
    disposeAll(...this.listeners);
  }
}
