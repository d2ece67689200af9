// A prompt document's own diagnostics say what is wrong with it: a failed capture leads to the line and says no more.

import { CancellationError, languages, Selection, TextEditorRevealType, Uri, window, type Diagnostic } from "vscode";
import { faultNamed, namesLine } from "./fault_lines";
import { problemOf } from "./problems";

const SHOWN_MS = 6_000;
const DIAGNOSED_MS = 1_500; // after the last change of a document

/** For what a capture from a document failed with: raises it, or CancellationError where the document shows it. */
export function leadingToFault(document: unknown): (error: unknown) => Promise<never> {
  return async (error) => {
    if (typeof document === "string" && (await leadToFault(Uri.parse(document), problemOf(error).message))) {
      throw new CancellationError();
    }
    throw error;
  };
}

async function leadToFault(uri: Uri, message: string): Promise<boolean> {
  const found = await diagnosed(uri, message);
  if (found === undefined) {
    return false;
  }
  const editor = await window.showTextDocument(uri);
  editor.selection = new Selection(found.range.start, found.range.start);
  editor.revealRange(found.range, TextEditorRevealType.InCenterIfOutsideViewport);
  window.setStatusBarMessage(`$(error) Not captured: ${found.message}`, SHOWN_MS);
  return true;
}

/** The diagnostic with those words, which may be a moment late after an edit. */
function diagnosed(uri: Uri, message: string): Promise<Diagnostic | undefined> {
  const look = (): Diagnostic | undefined => faultNamed(message, languages.getDiagnostics(uri));
  const found = look();
  if (found !== undefined || !namesLine(message)) {
    return Promise.resolve(found);
  }
  return new Promise((resolve) => {
    const done = (late?: Diagnostic): void => {
      clearTimeout(timer);
      listener.dispose();
      resolve(late);
    };
    const timer = setTimeout(done, DIAGNOSED_MS);
    const listener = languages.onDidChangeDiagnostics(() => {
      const late = look();
      if (late !== undefined) {
        done(late);
      }
    });
  });
}
