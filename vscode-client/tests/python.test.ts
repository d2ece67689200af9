// Which Python is taken, and what is said where there is none.

import assert from "node:assert/strict";
import { test } from "node:test";
import { problemOf } from "../src/problems";
import {
  candidates,
  findPython,
  installCommand,
  PackageMissing,
  type Probe,
  type World,
} from "../src/connection/python";

const PATHS = "/opt/bin:/usr/bin";

function world(probes: Record<string, Probe>, asked: string[] = []): World {
  return {
    exists: (file) => Promise.resolve(file in probes),
    probe: (python) => {
      asked.push(python);
      return Promise.resolve(probes[python] ?? { kind: "broken", reason: "not there" });
    },
  };
}

async function refusal(setting: string, probes: Record<string, Probe>) {
  const list = candidates(setting, ["/project"], PATHS, "linux");
  return findPython(list, world(probes)).then(() => assert.fail("found one"), problemOf);
}

const READY: Probe = { kind: "ready", version: "3.12.1" };
const WITHOUT: Probe = { kind: "without", version: "3.12.1", reason: "No module named 'daemon'" };

void test("the setting comes first and alone, then .venv, then PATH in its order", () => {
  assert.deepEqual(
    candidates("", ["/project"], PATHS, "linux").map(({ python }) => python),
    ["/project/.venv/bin/python", "/opt/bin/python3", "/opt/bin/python", "/usr/bin/python3", "/usr/bin/python"],
  );
  assert.deepEqual(
    candidates("/my/python", ["/project"], PATHS, "linux").map(({ python }) => python),
    ["/my/python"],
  );
});

void test("a bare name in the setting is looked for on PATH", () => {
  assert.deepEqual(
    candidates("python3.12", [], PATHS, "linux").map(({ python }) => python),
    ["/opt/bin/python3.12", "/usr/bin/python3.12"],
  );
});

void test("Windows has other names, folders and separators", () => {
  const [venv, onPath] = candidates("", ["C:\\work"], "C:\\Python", "win32");
  assert.equal(venv?.python, "C:\\work\\.venv\\Scripts\\python.exe");
  assert.equal(onPath?.python, "C:\\Python\\python.exe");
});

void test("a Python without nanoscope is passed over for one that has it; none after that is run", async () => {
  const asked: string[] = [];
  const found = await findPython(
    candidates("", ["/project"], PATHS, "linux"),
    world({ "/project/.venv/bin/python": WITHOUT, "/opt/bin/python3": READY, "/usr/bin/python3": READY }, asked),
  );
  assert.equal(found.python, "/opt/bin/python3");
  assert.equal(found.origin, "PATH");
  assert.deepEqual(asked, ["/project/.venv/bin/python", "/opt/bin/python3"]);
});

void test("where only the package is missing, the command installs it into the first Python there is", async () => {
  const problem = await refusal("", { "/project/.venv/bin/python": WITHOUT, "/usr/bin/python3": WITHOUT });
  assert.equal(problem.name, "PACKAGE_MISSING");
  assert.ok(problem instanceof PackageMissing);
  assert.equal(
    installCommand(problem.python, "/src/nanoscope"),
    "/project/.venv/bin/python -m pip install /src/nanoscope",
  );
  assert.equal(problem.actions[0]?.command, "nanoscope.copyInstallCommand");
});

void test("no Python at all, an old one, a broken one and a setting that points nowhere are told apart", async () => {
  assert.match((await refusal("", {})).message, /No Python was found/);
  assert.match((await refusal("/gone/python", { "/usr/bin/python3": READY })).message, /no Python at \/gone\/python/);
  const old = await refusal("", { "/usr/bin/python3": { kind: "old", version: "3.8.10" } });
  assert.match(old.message, /3\.8\.10.*3\.11/);
  assert.equal(old.name, "PYTHON_MISSING");
  assert.match(
    (await refusal("", { "/usr/bin/python3": { kind: "broken", reason: "bad magic" } })).message,
    /bad magic/,
  );
});

void test("a path with a space is quoted in the pip command", () => {
  assert.equal(installCommand("/my files/python", "/a b/n.whl"), '"/my files/python" -m pip install "/a b/n.whl"');
});
