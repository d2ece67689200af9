// Finds the Python that has nanoscope: the setting, the workspace's .venv, then PATH; and says what to do where there is none.

import { execFile } from "node:child_process";
import { access, constants } from "node:fs/promises";
import path from "node:path";
import { Problem } from "../problems";

/** What a Python was found to be. `reason`: what it answered instead. */
export type Probe =
  | { kind: "ready"; version: string }
  | { kind: "old"; version: string }
  | { kind: "without"; version: string; reason: string }
  | { kind: "broken"; reason: string };

export interface Candidate {
  python: string;
  /** Where it was found, for a person. */
  origin: string;
}

export interface Found extends Candidate {
  version: string;
}

/** What is asked of the world; tests answer it themselves. */
export interface World {
  exists: (file: string) => Promise<boolean>;
  probe: (python: string) => Promise<Probe>;
}

const PROBE = `
import sys
print(".".join(map(str, sys.version_info[:3])))
if sys.version_info < (3, 11):
    sys.exit(3)
try:
    import nanoscope
    nanoscope.own_packages_first()
    import daemon.launch.stdio, protocol.errors
except ImportError as error:
    print(error)
    sys.exit(4)
`;
const VENV = "the workspace's .venv";
const PROBE_MS = 20_000;
const OLD_STATUS = 3;
const WITHOUT_STATUS = 4;

/** Where to look, in order. A setting that is given is the only candidate: nothing else is taken in its place. */
export function candidates(
  setting: string,
  folders: readonly string[],
  searchPath: string,
  platform: NodeJS.Platform,
): Candidate[] {
  const windows = platform === "win32";
  const { join } = windows ? path.win32 : path.posix; // eslint-disable-line @typescript-eslint/unbound-method
  const inside = windows ? ["Scripts", "python.exe"] : ["bin", "python"];
  const names = windows ? ["python.exe", "py.exe"] : ["python3", "python"];
  const places = searchPath.split(windows ? ";" : ":").filter((place) => place !== "");
  if (setting !== "") {
    const files = /[\\/]/.test(setting) ? [setting] : places.map((place) => join(place, setting));
    return files.map((python) => ({ python, origin: "the setting nanoscope.pythonPath" }));
  }
  return [
    ...folders.map((folder) => ({ python: join(folder, ".venv", ...inside), origin: VENV })),
    ...places.flatMap((place) => names.map((name) => ({ python: join(place, name), origin: "PATH" }))),
  ];
}

/** The first candidate that has nanoscope. Raises Problem: PYTHON_MISSING, PACKAGE_MISSING. */
export async function findPython(list: readonly Candidate[], world: World): Promise<Found> {
  const lacking: { candidate: Candidate; probe: Probe }[] = [];
  for (const candidate of list) {
    if (!(await world.exists(candidate.python))) {
      continue;
    }
    const probe = await world.probe(candidate.python);
    if (probe.kind === "ready") {
      return { ...candidate, version: probe.version };
    }
    lacking.push({ candidate, probe });
  }
  throw nothingFound(list, lacking);
}

/** The command that installs nanoscope where it is missing, from its clone or its wheel: no index has it. */
export function installCommand(python: string, from: string): string {
  const [program = "", place = ""] = [python, from].map((word) => (/\s/.test(word) ? `"${word}"` : word));
  return `${program} -m pip install ${place}`;
}

/** The Python that a PACKAGE_MISSING was about. */
export class PackageMissing extends Problem {
  constructor(
    message: string,
    readonly python: string,
  ) {
    super("PACKAGE_MISSING", message);
  }
}

function nothingFound(list: readonly Candidate[], lacking: readonly { candidate: Candidate; probe: Probe }[]): Problem {
  const without = lacking.find(({ probe }) => probe.kind === "without");
  if (without !== undefined) {
    const { python, origin } = without.candidate;
    return new PackageMissing(`nanoscope is not installed in ${python} (${origin}).`, python);
  }
  const [first] = lacking;
  if (first !== undefined) {
    return new Problem("PYTHON_MISSING", `${first.candidate.python} (${first.candidate.origin}) ${unfit(first.probe)}`);
  }
  const [named] = list;
  if (named !== undefined && !["PATH", VENV].includes(named.origin)) {
    return new Problem("PYTHON_MISSING", `There is no Python at ${named.python}, which ${named.origin} names.`);
  }
  return new Problem(
    "PYTHON_MISSING",
    "No Python was found in the workspace's .venv or on PATH. Install Python 3.11 or newer, or set nanoscope.pythonPath.",
  );
}

function unfit(probe: Probe): string {
  switch (probe.kind) {
    case "old":
      return `is Python ${probe.version}; nanoscope needs 3.11 or newer.`;
    case "broken":
      return `cannot be run: ${probe.reason}`;
    case "without":
      return `lacks nanoscope: ${probe.reason}`;
    case "ready":
      return "is ready.";
  }
}

/** The world as it is. `folder`: where Python is run, so that no module of the workspace is taken for nanoscope's. */
export function realWorld(folder: string): World {
  return {
    exists: (file) =>
      access(file, constants.X_OK).then(
        () => true,
        () => false,
      ),
    probe: (python) => probe(python, folder),
  };
}

function probe(python: string, folder: string): Promise<Probe> {
  return new Promise((resolve) => {
    execFile(python, ["-c", PROBE], { cwd: folder, timeout: PROBE_MS, windowsHide: true }, (error, stdout, stderr) => {
      const [version = "", reason = ""] = stdout.trim().split("\n");
      if (error === null) {
        resolve({ kind: "ready", version });
      } else if (error.code === OLD_STATUS) {
        resolve({ kind: "old", version });
      } else if (error.code === WITHOUT_STATUS) {
        resolve({ kind: "without", version, reason });
      } else {
        resolve({ kind: "broken", reason: stderr.trim().split("\n").at(-1) ?? error.message });
      }
    });
  });
}
