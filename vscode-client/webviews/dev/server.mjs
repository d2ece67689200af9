// Development harness: shows the built webviews in a browser, with traces of a real daemon.
//
//   node webviews/dev/server.mjs [port]      with NANOSCOPE_RUNTIME_DIR and NANOSCOPE_TRACES_DIR set as wished
//   http://127.0.0.1:4173/?view=attention&theme=dark-plus&trace=<id>
import { spawn } from "node:child_process";
import { createReadStream, existsSync, readFileSync } from "node:fs";
import { createServer } from "node:http";
import path from "node:path";
import { createInterface } from "node:readline";
import { THEMES } from "./themes.mjs";

const HERE = import.meta.dirname;
const BUNDLES = process.env.NANOSCOPE_BUNDLES ?? path.join(HERE, "../../dist/webviews");
const TYPES = { ".js": "text/javascript", ".css": "text/css", ".map": "application/json" };
const NONCE = "harness";
const HOST = /^\/(\w+_)?(host|document)\.mjs$/; // what plays the extension host

/** A line client of the daemon, over `nanoscope stdio`. */
function connect() {
  const child = spawn(process.env.NANOSCOPE ?? "nanoscope", ["stdio"], { stdio: ["pipe", "pipe", "inherit"] });
  const waiting = new Map();
  let last = 0;
  createInterface({ input: child.stdout, crlfDelay: Infinity }).on("line", (line) => {
    const message = JSON.parse(line);
    waiting.get(message.id)?.(message);
    waiting.delete(message.id);
  });
  return {
    request: (method, params) =>
      new Promise((resolve) => {
        const id = ++last;
        waiting.set(id, resolve);
        child.stdin.write(`${JSON.stringify({ jsonrpc: "2.0", id, method, params })}\n`);
      }),
    close: () => child.stdin.end(),
  };
}

/** The page that VS Code would make: the strict policy, the theme's variables, the bundle. */
function webviewPage(view, theme) {
  const { kind, variables } = THEMES[theme] ?? THEMES["dark-plus"];
  const declarations = Object.entries(variables).map(([name, value]) => `--vscode-${name}: ${value};`);
  const page = readFileSync(path.join(HERE, "webview.html"), "utf8");
  const filled = { NONCE, VIEW: view, KIND: kind, VARIABLES: declarations.join("\n") };
  return page.replace(/\{\{(\w+)\}\}/g, (_, name) => filled[name]);
}

export async function serve(port = 0) {
  const daemon = connect();
  const server = createServer(async (request, response) => {
    const url = new URL(request.url, "http://localhost");
    const file = path.join(BUNDLES, path.basename(url.pathname));
    if (url.pathname === "/rpc") {
      const chunks = [];
      for await (const chunk of request) chunks.push(chunk);
      const { method, params } = JSON.parse(Buffer.concat(chunks));
      response.setHeader("content-type", "application/json");
      response.end(JSON.stringify(await daemon.request(method, params)));
    } else if (url.pathname === "/webview") {
      response.setHeader("content-type", "text/html; charset=utf-8");
      response.end(webviewPage(url.searchParams.get("view"), url.searchParams.get("theme")));
    } else if (url.pathname.startsWith("/bundle/") && existsSync(file)) {
      response.setHeader("content-type", TYPES[path.extname(file)] ?? "text/plain");
      createReadStream(file).pipe(response);
    } else if (url.pathname === "/" || HOST.test(url.pathname)) {
      const name = url.pathname === "/" ? "index.html" : path.basename(url.pathname);
      response.setHeader("content-type", name.endsWith("mjs") ? "text/javascript" : "text/html; charset=utf-8");
      createReadStream(path.join(HERE, name)).pipe(response);
    } else {
      response.writeHead(404).end();
    }
  });
  await new Promise((resolve) => server.listen(port, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    daemon,
    close: () => {
      daemon.close();
      server.closeAllConnections();
      server.close();
    },
  };
}

if (process.argv[1] === import.meta.filename) {
  const { url } = await serve(Number(process.argv[2] ?? 4173));
  console.log(`${url}/?view=attention&theme=dark-plus`);
}
