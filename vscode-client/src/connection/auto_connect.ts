// When the daemon is wanted: a document with prompts is open. A Markdown file without any must not start a model.

import { workspace, type TextDocument } from "vscode";
import type { Daemon } from "./daemon";
import type { Releasable } from "../disposables";

const FENCE = /^ {0,3}(?:`{3,}|~{3,})\s*prompt\b/m;

export function followDocuments(daemon: Daemon): Releasable[] {
  const look = (document: TextDocument): void => {
    if (document.languageId === "prompt" || (document.languageId === "markdown" && FENCE.test(document.getText()))) {
      daemon.start();
    }
  };
  workspace.textDocuments.forEach(look);
  return [
    workspace.onDidOpenTextDocument(look),
    workspace.onDidChangeTextDocument(({ document }) => {
      if (daemon.state.kind === "idle") {
        look(document);
      }
    }),
  ];
}
