// One VS Code with our extension, its own folders and its own daemon, seen through a headless Chromium.
import { execFileSync, spawn, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, openSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { chromium } from "playwright-core";

const E2E = resolve(import.meta.dirname, "..");
export const ROOT = resolve(E2E, "../..");
const ENTRY = join(E2E, "node_modules/code-server/out/node/entry.js");
const CHROMIUM = process.env.CHROMIUM ?? "/usr/bin/chromium";
const START_MS = 90_000;
const LISTED_MS = 4000;
const CLICK_MS = 1000;
const TREE = '.pane:has(.pane-header:has-text("Traces"))';
const TREE_PIXELS = 10_000;
const ROW_PIXELS = 22;
export const WAIT_MS = 30_000;
export const SHOTS = join(E2E, "screenshots");
export const PYTHON = process.env.NANOSCOPE_TEST_PYTHON ?? join(ROOT, ".venv/bin/python");

const USER_SETTINGS = {
  "workbench.startupEditor": "none",
  "telemetry.telemetryLevel": "off",
  "security.workspace.trust.enabled": false,
  "chat.commandCenter.enabled": false,
  "workbench.colorTheme": "Default Dark Modern",
  "window.autoDetectColorScheme": false,
  "files.simpleDialog.enable": true,
  "workbench.tree.enableStickyScroll": false, // its lines lie over the rows that a test clicks
};

/** Whether a page is in front: those of tabs that are hidden go on living. */
export async function isInSight(frame) {
  for (let inner = frame; inner.parentFrame() !== null; inner = inner.parentFrame()) {
    const element = await inner.frameElement().catch(() => null);
    if (element === null || !(await element.isVisible())) return false;
  }
  return true;
}

/** The package that `make vsix` has built. */
export function vsix() {
  const folder = join(ROOT, "vscode-client");
  const found = readdirSync(folder).filter((name) => name.endsWith(".vsix"));
  if (found.length !== 1) throw new Error(`One .vsix is needed in ${folder}, there are ${found.length}: run make vsix.`);
  return join(folder, found[0]);
}

async function freePort() {
  const server = createServer();
  await new Promise((done) => server.listen(0, "127.0.0.1", done));
  const { port } = server.address();
  await new Promise((done) => server.close(done));
  return port;
}

/** Waits until `probe` gives something other than null, undefined and false; an error says what did not come. */
export async function eventually(what, probe, milliseconds = WAIT_MS) {
  const deadline = Date.now() + milliseconds;
  for (;;) {
    const found = await probe();
    if (found) return found;
    if (Date.now() > deadline) throw new Error(`${what} did not come within ${milliseconds / 1000} s.`);
    await new Promise((done) => setTimeout(done, 50));
  }
}

/**
 * Gives each webview an origin of its own, as VS Code does everywhere but in code-server, where two webviews that open at
 * once take each other's service worker and one of them may stay blank.
 */
async function withOwnOrigins(route) {
  const response = await route.fetch();
  const { host } = new URL(response.url());
  const own = `http://{{uuid}}.localhost:${host.split(":").at(-1)}/`;
  const body = (await response.text()).replace(/(webviewEndpoint&quot;:&quot;)/, `$1${own}`);
  const headers = response.headers();
  const policy = headers["content-security-policy"]?.replace("frame-src ", "frame-src http://*.localhost:* ");
  await route.fulfill({ response, body, headers: { ...headers, "content-security-policy": policy } });
}

/** An editor with its browser page; `close` ends everything that was started. */
export class Editor {
  constructor(folder, settings) {
    this.folder = folder;
    this.workspace = join(folder, "workspace");
    this.traces = join(this.workspace, "traces");
    this.settings = settings;
    this.environment = {
      ...process.env,
      NANOSCOPE_RUNTIME_DIR: join(folder, "run"),
      NANOSCOPE_LOG_FILE: join(folder, "daemon.log"),
      NANOSCOPE_SOURCE: "demo",
      XDG_CACHE_HOME: join(folder, "cache"),
      XDG_CONFIG_HOME: join(folder, "config"),
      OMP_NUM_THREADS: "1",
    };
    this.ending = () => this.end();
    process.on("exit", this.ending);
  }

  /**
   * Starts it. Options: settings (of the user); python (null: none to be found); prepare, called before it opens; connect,
   * called with its page before that loads.
   */
  static async start({ settings = {}, python = PYTHON, prepare = () => undefined, connect = () => undefined } = {}) {
    const folder = mkdtempSync(join(tmpdir(), "nse-"));
    const user = { ...USER_SETTINGS, ...settings };
    const editor = new this(folder, python === null ? user : { ...user, "nanoscope.pythonPath": python });
    if (python === null) editor.hidePrograms();
    try {
      editor.prepare();
      await prepare(editor);
      await editor.launch();
      await editor.open(connect);
    } catch (error) {
      await editor.close();
      throw error;
    }
    return editor;
  }

  prepare() {
    mkdirSync(join(this.folder, "data/User"), { recursive: true });
    mkdirSync(this.traces, { recursive: true });
    writeFileSync(join(this.folder, "data/User/settings.json"), JSON.stringify(this.settings));
    writeFileSync(join(this.folder, "config.yaml"), "auth: none\n");
  }

  /** Leaves nothing on the PATH: VS Code takes it from the user's shell, so that is one that sets none. */
  hidePrograms() {
    const shell = join(this.folder, "shell");
    writeFileSync(shell, '#!/bin/sh\nwhile [ $# -gt 1 ]; do shift; done\nexec /bin/sh -c "$1"\n', { mode: 0o755 });
    this.environment.SHELL = shell;
    this.environment.PATH = join(this.folder, "empty");
  }

  arguments() {
    const at = (name) => join(this.folder, name);
    return ["--config", at("config.yaml"), "--user-data-dir", at("data"), "--extensions-dir", at("extensions")];
  }

  async launch() {
    if (!existsSync(ENTRY)) throw new Error("code-server is not installed: run npm --prefix tests/e2e run setup.");
    if (!existsSync(PYTHON)) throw new Error(`There is no ${PYTHON}: set NANOSCOPE_TEST_PYTHON, or run make e2e.`);
    execFileSync(process.execPath, [ENTRY, ...this.arguments(), "--install-extension", vsix()], {
      env: this.environment,
      stdio: ["ignore", "ignore", "inherit"],
    });
    const port = await freePort();
    const log = openSync(join(this.folder, "editor.log"), "a");
    this.server = spawn(
      process.execPath,
      [
        ENTRY,
        ...this.arguments(),
        ...["--auth", "none", "--bind-addr", `127.0.0.1:${port}`, "--disable-telemetry", "--disable-update-check"],
        ...["--disable-workspace-trust", "--disable-getting-started-override", this.workspace],
      ],
      { env: this.environment, stdio: ["ignore", log, log], detached: true },
    );
    this.address = `http://127.0.0.1:${port}/`;
    await eventually(
      "The editor",
      async () => (await fetch(`${this.address}healthz`).catch(() => null))?.ok,
      START_MS,
    );
  }

  async open(connect) {
    this.browser = await chromium.launch({
      executablePath: CHROMIUM,
      args: [
        ...["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"],
        // a page that withOwnOrigins has answered counts as a foreign one, whose sockets to this machine Chromium refuses
        "--disable-features=LocalNetworkAccessChecks",
        // so that a page can be asked how much memory it uses
        ...["--enable-precise-memory-info", "--js-flags=--expose-gc"],
      ],
    });
    const context = await this.browser.newContext({ viewport: { width: 1440, height: 1000 } });
    await context.grantPermissions(["clipboard-read", "clipboard-write"]);
    this.page = await context.newPage();
    this.complaints = [];
    this.page.on("console", (message) => message.type() === "error" && this.complaints.push(message.text()));
    this.page.on("pageerror", (error) => this.complaints.push(error.message));
    this.page.setDefaultTimeout(WAIT_MS);
    await this.page.route(({ pathname }) => pathname === "/", withOwnOrigins);
    await connect(this.page);
    await this.page.goto(`${this.address}?folder=${this.workspace}`);
    await this.page.locator(".monaco-workbench .activitybar").waitFor({ timeout: START_MS });
  }

  /** Shows our container and waits for its tree. */
  async showTraces() {
    const pane = this.page.locator('.pane-header:has-text("Traces")');
    const icon = this.page.locator('.activitybar .action-item a[aria-label^="nanoscope"]');
    await icon.waitFor({ timeout: START_MS });
    if (!(await pane.isVisible())) await icon.click();
    await pane.waitFor();
  }

  rows() {
    return this.page.locator(`${TREE} .monaco-list-row`);
  }

  /** Runs a command by its title in the palette. */
  async command(title) {
    const input = this.page.locator(".quick-input-widget input.input");
    await eventually("The palette", async () => {
      if (!(await input.isVisible())) await this.page.keyboard.press("F1"); // lost, or soon closed, while a page is loaded
      return input.fill(`>${title}`, { timeout: CLICK_MS }).then(
        () => true,
        () => false,
      );
    });
    const first = this.page.locator(".quick-input-list .monaco-list-row").first();
    await eventually(`The command ${title}`, async () =>
      ((await first.getAttribute("aria-label").catch(() => "")) ?? "").includes(title.replace(/^nanoscope: /, "")),
    );
    await this.page.keyboard.press("Enter");
  }

  /** Loads the window again, by VS Code: the browser's own reload loses what was changed in the last five seconds. */
  async reload() {
    const loaded = this.page.waitForEvent("load");
    await this.command("Developer: Reload Window");
    await loaded;
  }

  /** Answers the input box that a command has opened. */
  async answer(text) {
    const input = this.page.locator(".quick-input-widget input.input");
    await eventually("The input box", async () => (await input.isVisible()) && !(await input.inputValue()).startsWith(">"));
    await input.fill(text);
    await this.page.keyboard.press("Enter");
  }

  /** Opens a file of the workspace by name; asks again where the list was made before the file was there. */
  async openFile(name) {
    const input = this.page.locator(".quick-input-widget input.input");
    const row = this.page.locator(`.quick-input-list .monaco-list-row[aria-label*="${name}"]`).first();
    await eventually(`The file ${name}`, async () => {
      await this.page.keyboard.press("Escape");
      await this.page.keyboard.press("Control+P");
      await input.waitFor({ state: "visible" });
      await input.fill(name);
      return row.waitFor({ timeout: LISTED_MS }).then(
        () => true,
        () => false,
      );
    });
    await row.click();
  }

  /** The frame of a webview: the one that shows an element of that selector. */
  async frame(selector, milliseconds = WAIT_MS) {
    const showing = async () => {
      for (const frame of this.page.frames()) {
        const found = await frame.locator(selector).first().isVisible().catch(() => false);
        if (found && (await isInSight(frame))) return frame;
      }
      return null;
    };
    try {
      return await eventually(`A webview with ${selector}`, showing, milliseconds);
    } catch (error) {
      await this.screenshot("failed");
      throw new Error([error.message, ...this.complaints.slice(-10)].join("\n"));
    }
  }

  /** Notifications with that text. */
  toast(text) {
    return this.page.locator(".notification-toast", { hasText: text });
  }

  /** Writes the workspace's settings, which take effect at once. */
  configure(settings) {
    mkdirSync(join(this.workspace, ".vscode"), { recursive: true });
    writeFileSync(join(this.workspace, ".vscode/settings.json"), JSON.stringify(settings));
  }

  /** Sets them and waits until VS Code has read them: the window's title is one of them. */
  async configureAndWait(settings) {
    const title = `Settings of ${Date.now()}`;
    this.configure({ ...settings, "window.title": title });
    await eventually("The settings", async () => (await this.page.title()) === title);
  }

  /** Waits for a row of the tree with that text, brings it into sight, and shows its trace. */
  async choose(text) {
    const row = this.rows().filter({ hasText: text }).first();
    let scroll = -TREE_PIXELS; // first to the top, then down a little at a time
    await this.rows().first().waitFor();
    await eventually(`The row ${text}`, async () => {
      const clicked = await row.click({ timeout: CLICK_MS }).then(
        () => true,
        () => false,
      );
      if (!clicked) {
        await this.rows().first().hover({ force: true });
        await this.page.mouse.wheel(0, scroll);
        scroll = ROW_PIXELS;
      }
      return clicked;
    });
  }

  /** The text of our status bar item. */
  async status() {
    return this.page.locator('.statusbar-item[id*="nanoscope"]').first().innerText();
  }

  /** Makes the window that large; once more where VS Code, which was at work, has not seen it. */
  async resize(size) {
    await eventually(`A window of ${size.width} by ${size.height}`, async () => {
      await this.page.setViewportSize({ ...size, width: size.width - 1 });
      await this.page.setViewportSize(size);
      const box = await this.page.locator(".monaco-workbench").boundingBox();
      return box?.width === size.width && box.height === size.height;
    });
  }

  async screenshot(name) {
    mkdirSync(SHOTS, { recursive: true });
    await this.page.screenshot({ path: join(SHOTS, `${name}.png`) });
  }

  /** What `nanoscope` prints as JSON, asked of the same daemon; its status is null while none runs. */
  nanoscope(...words) {
    const flags = ["--traces-dir", this.traces, "--json"];
    const options = { env: this.environment, encoding: "utf8", maxBuffer: 2 ** 28 };
    return JSON.parse(spawnSync(PYTHON, ["-m", "daemon", ...words, ...flags], options).stdout);
  }

  /** Captures by the command line, as another client would; gives the trace's id. */
  capture(prompt, ...flags) {
    return this.nanoscope("capture", prompt, "--temperature", "0", ...flags).trace_id;
  }

  /** null while none runs. */
  daemonPid() {
    return this.nanoscope("status")?.pid ?? null;
  }

  stopDaemon() {
    spawnSync(PYTHON, ["-m", "daemon", "stop", "--force"], { env: this.environment, stdio: "ignore" });
  }

  async close() {
    await this.browser?.close().catch(() => undefined);
    this.end();
  }

  /** Ends what outlives this process; nothing more to do the second time. */
  end() {
    process.off("exit", this.ending);
    if (this.server?.pid) {
      try {
        process.kill(-this.server.pid, "SIGKILL");
      } catch {
        // it has ended by itself
      }
    }
    this.stopDaemon();
    rmSync(this.folder, { recursive: true, force: true, maxRetries: 5 });
  }
}

for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => process.exit(1));
