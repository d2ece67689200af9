// The walkthrough's pictures: each step has one for every kind of theme, small enough to be downloaded with the rest.

import assert from "node:assert/strict";
import { existsSync, readFileSync, statSync } from "node:fs";
import * as path from "node:path";
import { test } from "node:test";

const ROOT = path.join(import.meta.dirname, "..", "..");
const THEMES = ["dark", "light", "hc", "hcLight"];
const WIDEST = 900; // pixels
const MOST_BYTES = 90_000; // of all pictures together

interface Step {
  id: string;
  media: { markdown?: string; image?: Record<string, string>; altText?: string };
}

const { contributes } = JSON.parse(readFileSync(path.join(ROOT, "package.json"), "utf8")) as {
  contributes: { walkthroughs: { steps: Step[] }[] };
};
const steps = contributes.walkthroughs.flatMap((walkthrough) => walkthrough.steps);

void test("each step of the walkthrough has what it shows", () => {
  for (const { id, media } of steps) {
    if (media.image === undefined) {
      assert.ok(existsSync(path.join(ROOT, media.markdown ?? "")), id);
    } else {
      assert.deepEqual(Object.keys(media.image), THEMES, id);
      assert.ok((media.altText ?? "").length > 20, `${id} is told to those who do not see it`);
    }
  }
  assert.ok(steps.filter(({ media }) => media.image !== undefined).length >= 3);
});

void test("its pictures are small", () => {
  const shown = new Set(steps.flatMap(({ media }) => Object.values(media.image ?? {})));
  const files = [...shown].map((file) => path.join(ROOT, file));
  for (const file of files) {
    const png = readFileSync(file);
    assert.equal(png.toString("latin1", 1, 4), "PNG", file);
    assert.ok(png.readUInt32BE(16) <= WIDEST, file);
  }
  const bytes = files.reduce((sum, file) => sum + statSync(file).size, 0);
  assert.ok(bytes < MOST_BYTES, `${bytes} bytes`);
});
