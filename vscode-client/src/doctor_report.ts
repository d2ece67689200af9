// The doctor's findings as a page: what is not well first, with what to do about it.

import { plain } from "./plain_text";

export interface Finding {
  check: string;
  state: "ok" | "warning" | "fault";
  found: string;
  remedy: string;
}

const MARKS = { ok: "✓", warning: "!", fault: "✗" } as const;
const ORDER = { fault: 0, warning: 1, ok: 2 } as const;

/** From `nanoscope doctor --json`; undefined where it printed something else. */
export function parsedFindings(text: string): Finding[] | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return Array.isArray(value) && value.every(isFinding) ? value : undefined;
  } catch {
    return undefined;
  }
}

export function doctorReport(findings: readonly Finding[]): string {
  const sorted = [...findings].sort((one, other) => ORDER[one.state] - ORDER[other.state]);
  const rows = sorted.map(({ check, state, found, remedy }) => {
    const action = remedy === "" ? "" : `<br>→ **${plain(remedy)}**`;
    return `| ${MARKS[state]} | ${plain(check)} | ${plain(found)}${action} |`;
  });
  return ["# nanoscope doctor", "", verdict(findings), "", "| | | |", "| --- | --- | --- |", ...rows, ""].join("\n");
}

function verdict(findings: readonly Finding[]): string {
  const count = (state: Finding["state"], name: string): string[] => {
    const number = findings.filter((finding) => finding.state === state).length;
    return number === 0 ? [] : [`${number} ${name}${number === 1 ? "" : "s"}`];
  };
  return [...count("fault", "fault"), ...count("warning", "warning")].join(" and ") || "All is well.";
}

function isFinding(value: unknown): value is Finding {
  return typeof value === "object" && value !== null && "check" in value && "state" in value && "found" in value;
}
