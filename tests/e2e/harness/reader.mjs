// What the Python reader gives for a trace, for comparison with what the editor shows.
import { execFileSync } from "node:child_process";
import { cpSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { PYTHON, ROOT } from "./editor.mjs";

const HEAD = `
import json, sys
from nanochat.trace_storage import TraceStorage
folder, trace_id, layer, head = sys.argv[1:]
with TraceStorage(folder).open_trace(trace_id) as trace:
    print(json.dumps(trace.attention(int(layer), int(head)).tolist()))`;

const ANALYSIS = `
import json, sys
from nanochat.trace_storage import TraceStorage
folder, trace_id = sys.argv[1:]
print(json.dumps(TraceStorage(folder).load_trace(trace_id)["analysis"]))`;

const EMPTY_ENVIRONMENT = "import sys, venv; venv.create(sys.argv[1], with_pip=False); print(0)";

function python(...words) {
  const text = execFileSync(PYTHON, words, { cwd: ROOT, encoding: "utf8", maxBuffer: 2 ** 28 });
  return JSON.parse(text);
}

/** One head's weights, a row a query. */
export function headOf(folder, traceId, layer, head) {
  return python("-c", HEAD, folder, traceId, String(layer), String(head));
}

/** The numbers that were worked out of a trace. */
export function analysisOf(folder, traceId) {
  return python("-c", ANALYSIS, folder, traceId);
}

/** Writes a trace of 24 layers and 1,024 positions into a folder. */
export function makeWideTrace(folder) {
  const script = join(ROOT, "vscode-client/webviews/dev/make_traces.py");
  const options = { cwd: ROOT, env: { ...process.env, PYTHONPATH: ROOT }, encoding: "utf8" };
  return execFileSync(PYTHON, [script, folder], options).trim();
}

/** A Python that has no packages. */
export function barePython(folder) {
  python("-c", EMPTY_ENVIRONMENT, folder);
  return join(folder, "bin/python");
}

/** Another version of nanoscope, in a folder of its own. */
export function otherVersion(folder, version) {
  for (const name of ["daemon", "nanochat", "protocol"]) {
    cpSync(join(ROOT, name), join(folder, name), { recursive: true, filter: (path) => !path.endsWith("__pycache__") });
  }
  const file = join(folder, "daemon/version.py");
  writeFileSync(file, readFileSync(file, "utf8").replace(/^PACKAGE_VERSION = .*$/m, `PACKAGE_VERSION = "${version}"`));
  return folder;
}

/** Writes traces whose texts are hard to show: one of every kind of character, a chat of forty turns, a long token. */
export function makeTexts(folder) {
  const script = join(ROOT, "vscode-client/webviews/dev/make_texts.py");
  const options = { cwd: ROOT, env: { ...process.env, PYTHONPATH: ROOT }, encoding: "utf8" };
  const [readable, chat, wrapped] = execFileSync(PYTHON, [script, folder], options).trim().split("\n");
  return { readable, chat, wrapped };
}

const LIKELIEST = `
import json, sys
import numpy as np
from nanochat.trace_storage import TraceStorage
folder, trace_id, position = sys.argv[1:]
with TraceStorage(folder).open_trace(trace_id) as trace:
    values, log_sum_exp = (trace.tensor(f"output_logits.{part}")[0] for part in ("values", "log_sum_exp"))
    row = int(position) - 1
    print(json.dumps(sorted(np.exp(values[row].astype(float) - float(log_sum_exp[row])).tolist(), reverse=True)))`;

/** The probabilities of all candidates that a trace keeps of a position, the largest first. */
export function likeliestAt(folder, traceId, position) {
  return python("-c", LIKELIEST, folder, traceId, String(position));
}
