// Errors as problems: their names, and what can be done about them.

import assert from "node:assert/strict";
import { test } from "node:test";
import { isCancelled, Problem, problemOf, problemOfStderr } from "../src/problems";

function rpcError(code: number, message: string, name?: string): Error {
  return Object.assign(new Error(message), { code, data: name === undefined ? undefined : { name } });
}

void test("an error of the daemon keeps its name and message, and has its remedy", () => {
  const problem = problemOf(rpcError(-31008, "No model is held.", "MODEL_NOT_LOADED"));
  assert.equal(problem.name, "MODEL_NOT_LOADED");
  assert.equal(problem.message, "No model is held.");
  assert.equal(problem.actions[0]?.command, "nanoscope.chooseModel");
});

void test("a connection that ended is one, however it is put", () => {
  for (const error of [
    rpcError(-32097, "Pending response rejected since connection got disposed"),
    new Error("Connection is closed."),
    new Error("Client is not running"),
  ]) {
    assert.equal(problemOf(error).name, "CONNECTION_LOST", error.message);
  }
  assert.equal(problemOf(new Error("something else")).name, "UNKNOWN");
  assert.equal(problemOf("text").message, "text");
});

void test("cancellations are no problems", () => {
  assert.ok(isCancelled(rpcError(-32800, "cancelled", "CANCELLED")));
  assert.ok(isCancelled(Object.assign(new Error("Canceled"), { name: "Canceled" })));
  assert.ok(!isCancelled(rpcError(-31001, "no trace", "TRACE_NOT_FOUND")));
});

void test("what the pump says before it ends is told as it is", () => {
  const mismatch =
    "nanoscope stdio: The daemon (pid 1) has other settings. Run `nanoscope stop --force`; then again.\n";
  const problem = problemOfStderr(`noise\n${mismatch}`, "exit status 1");
  assert.equal(problem.name, "VERSION_MISMATCH");
  assert.match(problem.message, /^The daemon \(pid 1\)/);
  assert.equal(problem.actions[0]?.command, "nanoscope.restartDaemon");
  assert.match(problemOfStderr("", "exit status 0").message, /hung up \(exit status 0\)/);
  assert.match(problemOfStderr("Traceback\nImportError: no\n", "exit status 1").message, /ImportError: no/);
});

void test("a problem may bring actions of its own", () => {
  assert.deepEqual(new Problem("UNKNOWN", "x", []).actions, []);
});
