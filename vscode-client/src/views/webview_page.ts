// The page of a webview: one module script and its style, under a policy that lets nothing else in.
//
// Both are written into the page. A page that loads them depends on the editor's service worker, and in code-server two
// views that open at once take each other's: one of them stays blank.

import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { Uri, type WebviewOptions } from "vscode";

export type PageName = "compare" | "summary" | "trace";

export const WEBVIEW_OPTIONS: WebviewOptions = { enableScripts: true, localResourceRoots: [] };

export function page(extension: Uri, name: PageName, title: string): string {
  const nonce = randomBytes(16).toString("base64");
  const policy = `default-src 'none'; script-src 'nonce-${nonce}'; style-src 'nonce-${nonce}'`;
  return `<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="UTF-8">
<meta name="viewport" content="width=device-width, initial-scale=1.0">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<title>${title}</title>
<style nonce="${nonce}">${bundle(extension, `${name}.css`).replaceAll("</style", "<\\/style")}</style>
</head>
<body>
<div id="root"></div>
<script type="module" nonce="${nonce}">${bundle(extension, `${name}.js`).replaceAll("</script", "<\\/script")}</script>
</body>
</html>`;
}

function bundle(extension: Uri, file: string): string {
  return readFileSync(Uri.joinPath(extension, "dist", "webviews", file).fsPath, "utf8");
}
