// Values of settings, by the schema that package.json has for them.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import * as path from "node:path";
import { test } from "node:test";
import { faultNamed } from "../src/fault_lines";
import { deviceFault, faultOf, type SettingSchema } from "../src/setting_schema";

type Schema = SettingSchema & { default: unknown; pattern?: string };
const MANIFEST = JSON.parse(readFileSync(path.join(import.meta.dirname, "../../package.json"), "utf8")) as {
  contributes: { configuration: { properties: Record<string, Schema> } };
};
const { properties } = MANIFEST.contributes.configuration;

function fault(name: string, value: unknown): string | undefined {
  const schema = properties[`nanoscope.${name}`];
  assert.ok(schema !== undefined);
  return faultOf(value, schema);
}

void test("every setting may have its default", () => {
  for (const schema of Object.values(properties)) {
    assert.equal(faultOf(schema.default, schema), undefined);
  }
});

void test("what a setting may not have is named", () => {
  assert.equal(fault("capture.temperature", "hot"), "be a number");
  assert.equal(fault("capture.temperature", -0.5), "be at least 0");
  assert.equal(fault("capture.maxTokens", 1.5), "be an integer");
  assert.equal(fault("capture.dtype", "float8"), "be one of default, float32, float16, bfloat16");
  assert.equal(fault("capture.layers", [0, -1]), "have entries that are right: each must be at least 0");
  assert.equal(fault("capture.layers", [1, 1]), "have no entry twice");
  assert.equal(fault("capture.layers", 1), "be an array");
  assert.equal(fault("capture.logits", 5), undefined);
  assert.equal(fault("capture.logits", 0), "be one of default, generated, all, none, or be at least 1");
  assert.equal(fault("capture.chat", "yes"), "be a boolean");
});

void test("a device is what package.json underlines no value of", () => {
  const pattern = properties["nanoscope.device"]?.pattern;
  assert.ok(pattern !== undefined);
  for (const value of ["", "cpu", " cuda:1 ", "mps", "cuda", "cpuu", "cuda:", "cuda:x", "gpu", "cpu:0"]) {
    assert.equal(deviceFault(value) === undefined, new RegExp(pattern).test(value), value);
  }
});

void test("a failed capture names one of the document's own faults", () => {
  const faults = [1, 4].map((line) => ({ message: "max_tokens cannot be 'x'.", range: { start: { line } } }));
  assert.equal(faultNamed("Line 5: max_tokens cannot be 'x'.", faults), faults[1]);
  assert.equal(faultNamed("Line 9: max_tokens cannot be 'x'.", faults), undefined);
  assert.equal(faultNamed("The disk is full.", faults), undefined);
  assert.equal(faultNamed("max_tokens cannot be 'x'.", faults), faults[0]);
});
