// The doctor's page.

import assert from "node:assert/strict";
import { test } from "node:test";
import { doctorReport, parsedFindings } from "../src/doctor_report";

const FINDINGS = [
  { check: "python", state: "ok", found: "3.12 | fine", remedy: "" },
  { check: "disk", state: "fault", found: "full", remedy: "Make room." },
];

void test("what is not well stands first, with its remedy", () => {
  const findings = parsedFindings(JSON.stringify(FINDINGS));
  assert.ok(findings);
  const page = doctorReport(findings);
  assert.ok(page.indexOf("disk") < page.indexOf("python"));
  assert.match(page, /Make room\\\./);
  assert.match(page, /1 fault/);
  assert.match(page, /3\\\.12 \\\| fine/);
});

void test("well is said to be well, and what is no finding is not taken for one", () => {
  assert.match(doctorReport([]), /All is well/);
  assert.equal(parsedFindings("Traceback"), undefined);
  assert.equal(parsedFindings('{"a": 1}'), undefined);
});
