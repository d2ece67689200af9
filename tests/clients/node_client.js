// A client by vscode-jsonrpc over `nanoscope stdio`: captures, lists, is told of the others' captures; prints what it saw.
"use strict";
const { spawn } = require("node:child_process");
const fs = require("node:fs");
const rpc = require("vscode-jsonrpc/node");

const [name, clients, ready, go] = process.argv.slice(2);

async function until(condition) {
  while (!condition()) {
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

async function main() {
  const pump = spawn(process.env.PYTHON, ["-m", "daemon", "stdio"], { stdio: ["pipe", "pipe", "inherit"] });
  const connection = rpc.createMessageConnection(
    new rpc.StreamMessageReader(pump.stdout),
    new rpc.StreamMessageWriter(pump.stdin),
  );
  const told = new Set();
  connection.onNotification("traces_changed", (params) => params.added.forEach((id) => told.add(id)));
  connection.listen();
  await connection.sendRequest("initialize", { processId: process.pid, rootUri: null, capabilities: {} });
  await connection.sendNotification("initialized", {});
  fs.writeFileSync(ready, "");
  await until(() => fs.existsSync(go));
  const captured = await connection.sendRequest("generate_and_capture", { prompt: `By ${name}`, max_tokens: 3 });
  const listed = await connection.sendRequest("list_traces", { text: `By ${name}` });
  await until(() => told.size >= Number(clients));
  await connection.sendRequest("shutdown");
  await connection.sendNotification("exit");
  connection.dispose();
  pump.stdin.end();
  const ids = listed.traces.map((row) => row.trace_id);
  console.log(JSON.stringify({ captured: captured.trace_id, listed: ids, told: [...told].sort() }));
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
