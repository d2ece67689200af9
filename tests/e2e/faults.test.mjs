// Bad input: each is told with what to do, one click does it, and nothing needs a reload.
import { spawn, spawnSync } from "node:child_process";
import { chmodSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { Editor, PYTHON, ROOT, eventually } from "./harness/editor.mjs";
import { barePython, otherVersion } from "./harness/reader.mjs";

const ENDLESS = "apple, river, stone, apple, river,"; // the built-in model goes on with it until it may not
const SLOW = 90_000;
let editor;

before(async () => {
  editor = await Editor.start({ python: null, settings: { "nanoscope.capture.maxTokens": 240 } });
});
after(() => editor?.close());

/** The text that the tree has in place of rows. */
function welcome(text) {
  return editor.page.locator(".welcome-view-content", { hasText: text });
}

/** A folder that nobody may write to: not even the superuser writes to /proc. */
function forbiddenFolder() {
  if (process.getuid() === 0) return "/proc/nanoscope";
  const folder = join(editor.folder, "forbidden");
  mkdirSync(folder);
  chmodSync(folder, 0o555);
  return folder;
}

/** The clients of the running daemon, as the package in a folder tells. */
function sessionsOf(cwd = ROOT) {
  const options = { cwd, env: editor.environment, encoding: "utf8" };
  return JSON.parse(spawnSync(PYTHON, ["-m", "daemon", "sessions", "--json"], options).stdout || "[]") ?? [];
}

test("no Python: it says where it looked, and opens the setting", async () => {
  await editor.showTraces();
  await welcome("No Python 3.11 or newer was found").waitFor({ timeout: SLOW });
  await editor.screenshot("no-python");
  await welcome("No Python").locator("a.monaco-button").click();
  await editor.page.locator(".settings-editor", { hasText: "Python Path" }).waitFor();
  await editor.command("View: Close All Editors");
});

test("no package: it says in which Python, and copies the command", async () => {
  const bare = barePython(join(editor.folder, "bare"));
  editor.configure({ "nanoscope.pythonPath": bare });
  await welcome("nanoscope is not installed").waitFor({ timeout: SLOW });
  await editor.screenshot("no-package");
  await welcome("nanoscope is not installed").locator("a.monaco-button").first().click();
  await editor.page.locator(".quick-input-list .monaco-list-row", { hasText: "A Clone of nanoscope" }).click();
  const input = editor.page.locator(".quick-input-widget input.input");
  await eventually("The dialog", async () => (await input.inputValue()).startsWith("/"));
  await input.fill(`${ROOT}/`);
  await editor.page.locator(".quick-input-list .monaco-list-row", { hasText: "nanochat" }).first().waitFor();
  await editor.page.locator(".quick-input-widget .quick-input-action a", { hasText: "Install From Here" }).click();
  await eventually("The command", async () =>
    (await editor.page.evaluate(() => navigator.clipboard.readText())).includes(`${bare} -m pip install ${ROOT}`),
  );
});

test("a folder that cannot be written: it says so, and opens the setting", async () => {
  editor.configure({ "nanoscope.pythonPath": PYTHON, "nanoscope.tracesFolder": forbiddenFolder() });
  await eventually("The daemon", async () => editor.daemonPid() !== null, SLOW);
  await editor.command("nanoscope: Capture Trace...");
  await editor.answer("The capital of France is");
  const toast = editor.toast(/folder|written|permi|space/i);
  await toast.first().waitFor({ timeout: SLOW });
  await editor.screenshot("read-only");
  await toast.first().locator(".monaco-button", { hasText: "Choose Traces Folder" }).click();
  await editor.page.locator(".settings-editor", { hasText: "Traces Folder" }).waitFor();
  await editor.command("View: Close All Editors");
});

test("with a Python that has it and a folder that can be written, all is well without a reload", async () => {
  editor.configure({ "nanoscope.pythonPath": PYTHON });
  await eventually("The other folder", () => sessionsOf().some((session) => session.traces_dir === editor.traces), SLOW);
  await welcome("No traces here yet").waitFor({ timeout: SLOW });
  await editor.command("nanoscope: Capture Trace...");
  await editor.answer("The capital of France is");
  await editor.rows().filter({ hasText: "Paris" }).first().waitFor({ timeout: SLOW });
});

test("a daemon that is killed in the middle of a capture: one click captures again", async () => {
  await editor.command("nanoscope: Capture Trace...");
  await editor.answer(ENDLESS);
  process.kill(editor.daemonPid(), "SIGKILL");
  const again = editor.page.locator(".notification-toast .monaco-button", { hasText: "Capture Again" });
  const row = editor.rows().filter({ hasText: "apple" }).first();
  await eventually("An answer", async () => (await again.isVisible()) || (await row.isVisible()), SLOW);
  if (await again.isVisible()) await again.click(); // unless it had been written by then
  await row.waitFor({ timeout: SLOW });
  await eventually("Both traces", async () => /2 traces/.test(await editor.status()));
});

test("a daemon of another version that somebody uses: it says so, and one click replaces it", async () => {
  editor.configure({ "nanoscope.pythonPath": join(editor.folder, "bare/bin/python") });
  await eventually("A word that nothing is connected", async () => (await editor.status()).trim() === "nanoscope");
  editor.stopDaemon();
  const cwd = otherVersion(join(editor.folder, "other"), "9.9.9");
  const user = spawn(PYTHON, ["-m", "daemon", "watch", "--traces-dir", editor.traces], {
    cwd,
    env: editor.environment,
    stdio: ["ignore", "ignore", "inherit"],
  });
  try {
    await eventually("The other daemon's client", () => sessionsOf(cwd).some(({ name }) => name === "nanoscope"), SLOW);
    editor.configure({ "nanoscope.pythonPath": PYTHON });
    const toast = editor.toast("9.9.9");
    await toast.waitFor({ timeout: SLOW });
    await editor.screenshot("other-version");
    await toast.locator(".monaco-button", { hasText: "Restart Daemon" }).click();
    await eventually("The traces", async () => /2 traces/.test(await editor.status()), SLOW);
  } finally {
    user.kill("SIGKILL");
  }
});
