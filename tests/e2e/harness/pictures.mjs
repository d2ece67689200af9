// Draws docs/vscode-dark.png and docs/vscode-light.png anew, from the real editor on real traces.
import { join } from "node:path";
import { Editor, ROOT, eventually } from "./editor.mjs";
import { drawnHead, pointAt } from "./matrix.mjs";
import { analysisOf } from "./reader.mjs";

const SIZE = { width: 1640, height: 1000 };
const THEMES = { dark: "Default Dark Modern", light: "Default Light Modern" };
const QUERY = 20; // its row is lit
const SHOWN = "apple, river, stone, apple, river,";
const PROMPTS = [
  ["The opposite of hot is", "opposites", 8],
  ["The symbol of gold is", "science", 8],
  ["The capital of Norway is", "geography", 8],
  ["The capital of France is", "geography", 8],
  [SHOWN, "lists", 14],
];

/** The head that plays the role of induction most. */
function inductionHead({ attention }) {
  const heads = Object.entries(attention.layer_stats).flatMap(([layer, { heads: all }]) =>
    all.map(({ induction }, head) => ({ layer, head, induction: induction ?? 0 })),
  );
  return heads.reduce((best, head) => (head.induction > best.induction ? head : best));
}

const ids = [];
const editor = await Editor.start({
  prepare: (fresh) => {
    for (const [prompt, category, count] of PROMPTS) {
      ids.push(fresh.capture(prompt, "--category", category, "--max-tokens", String(count), "--format", "safetensors"));
    }
  },
});
try {
  await editor.showTraces();
  await editor.resize(SIZE);
  const id = ids.at(-1);
  await editor.choose(SHOWN);
  const frame = await editor.frame(".trace .attention");
  await drawnHead(frame);
  const { layer, head } = inductionHead(analysisOf(editor.traces, id));
  await frame.locator(`.head[data-layer="${layer}"][data-head="${head}"]`).click();
  await drawnHead(frame, `${layer}.${head}`);
  const positions = await frame.locator(".attention .tokens .token").count();
  for (const [name, theme] of Object.entries(THEMES)) {
    editor.configure({ "workbench.colorTheme": theme });
    await frame.locator(`body[data-vscode-theme-id="${theme}"]`).waitFor();
    await pointAt(editor, frame, QUERY, QUERY - 9, positions - 1);
    await drawnHead(frame);
    await editor.page.screenshot({ path: join(ROOT, `docs/vscode-${name}.png`) });
  }
} finally {
  await editor.close();
}
