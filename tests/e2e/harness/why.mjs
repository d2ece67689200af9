// What the tests of the tabs that ask the model share.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { Editor } from "./editor.mjs";
import { drawnHead } from "./matrix.mjs";

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core"), "utf8");
const SERIOUS = ["serious", "critical"];
export const PROMPT = "The capital of France is";

/** An editor with one trace, its page in front: { editor, frame, id }. */
export async function opened() {
  let id;
  const editor = await Editor.start({
    prepare: (fresh) => {
      id = fresh.capture(PROMPT, "--max-tokens", "8", "--format", "safetensors");
    },
  });
  await editor.showTraces();
  await editor.choose(PROMPT);
  const frame = await editor.frame(".trace .attention");
  await drawnHead(frame);
  return { editor, frame, id };
}

/** Findings that matter in the tab of that name. */
export async function seriousFindings(frame, part) {
  await frame.evaluate(() => {
    document.body.style.background = "var(--vscode-editor-background)"; // what lies behind it, which a frame cannot see
  });
  await frame.evaluate(AXE);
  const { violations } = await frame.evaluate((id) => globalThis.axe.run(document.getElementById(id)), `part-${part}`);
  return violations
    .filter(({ impact }) => SERIOUS.includes(impact))
    .map(({ id, nodes }) => `${id}: ${nodes[0].html.slice(0, 200)} ${nodes[0].any[0]?.message ?? ""}`);
}
