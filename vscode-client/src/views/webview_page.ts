// The page of a webview: one module script and its style, under a policy that lets nothing else in.

import { randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { Uri, type Webview, type WebviewOptions } from "vscode";

export type PageName = "attention" | "summary" | "trace";

function bundles(extension: Uri): Uri {
  return Uri.joinPath(extension, "dist", "webviews");
}

export function webviewOptions(extension: Uri): WebviewOptions {
  return { enableScripts: true, localResourceRoots: [bundles(extension)] };
}

export function page(webview: Webview, extension: Uri, name: PageName, title: string): string {
  const nonce = randomBytes(16).toString("base64");
  const script = webview.asWebviewUri(Uri.joinPath(bundles(extension), `${name}.js`)).toString();
  const style = Uri.joinPath(bundles(extension), `${name}.css`);
  const link = existsSync(style.fsPath)
    ? `<link rel="stylesheet" href="${webview.asWebviewUri(style).toString()}">`
    : "";
  const policy = [
    "default-src 'none'",
    `script-src 'nonce-${nonce}'`,
    `style-src ${webview.cspSource} 'nonce-${nonce}'`,
    `font-src ${webview.cspSource}`,
  ].join("; ");
  return `<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="UTF-8">
<meta name="viewport" content="width=device-width, initial-scale=1.0">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<title>${title}</title>
${link}
</head>
<body>
<div id="root"></div>
<script type="module" nonce="${nonce}" src="${script}"></script>
</body>
</html>`;
}
