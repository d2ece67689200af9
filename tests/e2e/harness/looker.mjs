// A real VS Code that looks at folders of traces until its input ends, whatever happens to the daemon meanwhile.
//
// node harness/looker.mjs WORKSPACE [FOLDER ...]
//
// WORKSPACE has the traces in its folder `traces`, and a document look.prompt; each FOLDER is looked at now and then.
// The environment names the daemon. Each look prints a line of JSON: { look, error }, error null where all was seen.
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { Editor, eventually } from "./editor.mjs";

const LOOK_MS = 40_000; // a daemon that was killed in the middle of it starts anew, on a busy machine
const EXPLORER = ".explorer-folders-view .monaco-list-row";
const TRACE_EDITOR = "main:has(.trace)";
const [workspace, ...others] = process.argv.slice(2);

/** An editor in folders of others, with a daemon of others; its own folder has no more than its data. */
class Guest extends Editor {
  constructor(folder, settings) {
    super(folder, settings);
    this.workspace = workspace;
    this.traces = join(workspace, "traces");
    this.environment = process.env;
  }

  /** It is for whoever owns it to stop. */
  stopDaemon() {}
}

function anyOf(list) {
  return list[Math.floor(Math.random() * list.length)];
}

/** Rows of readable traces; others' files have no such prompts. */
function captured() {
  return editor.rows().filter({ hasText: /number \d/ });
}

async function chooseTrace() {
  await editor.showTraces();
  await captured().first().waitFor();
  await captured()
    .nth(Math.floor(Math.random() * (await captured().count())))
    .click();
}

const LOOKS = {
  async tree() {
    await editor.showTraces();
    await captured().first().waitFor();
  },
  async refresh() {
    await editor.command("nanoscope: Refresh Traces");
    await LOOKS.tree();
  },
  async trace() {
    await chooseTrace();
    await editor.frame(".matrix[data-complete=true]", LOOK_MS);
  },
  async "trace editor"() {
    await chooseTrace();
    await editor.command("nanoscope: Open in Trace Editor");
    await editor.frame(`${TRACE_EDITOR} .matrix[data-complete=true]`, LOOK_MS);
  },
  async "file of others"() {
    const names = readdirSync(editor.traces).filter((name) => /^(?!trace_)\w+\.safetensors$/.test(name));
    await editor.openFile(anyOf(names));
    await editor.frame(`${TRACE_EDITOR} .notice`, LOOK_MS);
  },
  async document() {
    await editor.openFile("look.prompt");
    await editor.page.locator(".codelens-decoration", { hasText: "Capture" }).first().waitFor();
  },
  async analysis() {
    await chooseTrace();
    await editor.command("nanoscope: Analyze");
    await editor.frame(".trace .charts", LOOK_MS);
  },
  async filter() {
    await editor.showTraces();
    await editor.command("nanoscope: Filter Traces...");
    await editor.answer("number");
    await captured().first().waitFor();
    await editor.command("nanoscope: Clear Filter");
  },
  async doctor() {
    await editor.command("nanoscope: Doctor");
    await editor.page.locator(".tab", { hasText: "nanoscope doctor" }).first().waitFor();
  },
  async log() {
    await editor.command("nanoscope: Show Log");
    await editor.page.locator(".panel .view-line").first().waitFor();
  },
  async explorer() {
    await chooseTrace();
    await editor.command("nanoscope: Reveal Trace File");
    await editor.page.locator(`${EXPLORER}[aria-label*="trace_"]`).first().waitFor();
  },
  async "other folder"() {
    await LOOKS.tree();
    try {
      editor.configure({ "nanoscope.tracesFolder": anyOf(others) });
      await eventually("The other folder", async () => (await captured().count()) === 0, LOOK_MS);
      await editor.command("nanoscope: Refresh Traces");
    } finally {
      editor.configure({});
    }
    await captured().first().waitFor();
  },
  async reload() {
    await editor.page.reload();
    await LOOKS.tree();
  },
};

function shuffled(list) {
  const keyed = list.map((value) => ({ value, key: Math.random() }));
  return keyed.sort((one, other) => one.key - other.key).map(({ value }) => value);
}

async function look(kind) {
  try {
    await LOOKS[kind]();
    await editor.page.keyboard.press("Escape");
    await editor.command("View: Close All Editors");
    return null;
  } catch (error) {
    await editor.page.reload().catch(() => undefined); // whatever is open now is in the way of the next look
    return error.message.split("\n")[0];
  }
}

let ended = false;
process.stdin.on("end", () => (ended = true)).resume();
const editor = await Guest.start();
try {
  editor.page.setDefaultTimeout(LOOK_MS);
  let kinds = ["tree"];
  do {
    const kind = kinds.shift();
    console.log(JSON.stringify({ look: kind, error: await look(kind) }));
    if (kinds.length === 0) kinds = shuffled(Object.keys(LOOKS));
  } while (!ended);
} finally {
  await editor.close();
}
