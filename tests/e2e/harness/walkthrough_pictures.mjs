// Draws the walkthrough's pictures anew, vscode-client/media/walkthrough/*.png, dark and light; those of high contrast show the same.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { Editor, ROOT } from "./editor.mjs";
import { drawnHead, pointAt } from "./matrix.mjs";
import { smallPng } from "./small_png.mjs";

const THEMES = {
  dark: "Default Dark Modern",
  light: "Default Light Modern",
};
const SIZE = { width: 1140, height: 660 };
const SHOWN = "apple, river, stone, apple, river,";
const PROMPT = "The capital of France is";
const QUERY = 13;
const DOCUMENT = "\nmax_tokens: 8\ntemperature: 0\nThe symbol of gold is\n---\nmax_tokens: 8\nThe opposite of hot is\n";
/** Heights that are shown, in pixels. */
const [TAB, PAGE, WHY, SUMMARY, ASKED] = [35, 470, 492, 494, 220];
const CLASSES = { dark: "vs-dark", light: "vs" };

const editor = await Editor.start({
  prepare: (fresh) => {
    writeFileSync(join(fresh.workspace, "prompts.prompt"), DOCUMENT);
    for (const prompt of ["The symbol of gold is", SHOWN]) {
      fresh.capture(prompt, "--max-tokens", "8", "--format", "safetensors");
    }
  },
});

/** A part of the window. */
async function picture(name, box) {
  const png = await editor.page.screenshot({ clip: box });
  writeFileSync(join(ROOT, `vscode-client/media/walkthrough/${name}.png`), await smallPng(editor.page, png));
}

async function boxOf(locator) {
  const box = await locator.boundingBox();
  return { x: Math.round(box.x), y: Math.round(box.y), width: Math.round(box.width), height: Math.round(box.height) };
}

/** Does the same in each kind of theme. */
async function inThemes(run) {
  for (const [name, theme] of Object.entries(THEMES)) {
    editor.configure({ "workbench.colorTheme": theme });
    await editor.page.locator(`.monaco-workbench.${CLASSES[name]}`).waitFor();
    await run(name, theme);
  }
}

try {
  await editor.showTraces();
  await editor.resize(SIZE);
  await editor.choose(SHOWN);
  const frame = await editor.frame(".trace .attention");
  await drawnHead(frame);
  await frame.locator('.head[data-layer="1"][data-head="0"]').click();
  await drawnHead(frame, "1.0");
  await editor.page.locator('.pane-header:has-text("Traces") .title').click(); // the summary has the side bar for itself
  await (await editor.frame(".summary .sparkline")).locator(".summary canvas").first().waitFor();
  await inThemes(async (name, theme) => {
    await frame.locator(`body[data-vscode-theme-id="${theme}"]`).waitFor();
    await pointAt(editor, frame, QUERY, QUERY - 9, (await frame.locator(".attention .token").count()) - 1);
    await drawnHead(frame);
    const page = await boxOf(editor.page.locator(".editor-group-container").first());
    await picture(`attention-${name}`, { ...page, y: page.y + TAB, height: PAGE });
    await picture(`summary-${name}`, { ...(await boxOf(editor.page.locator(".part.sidebar"))), height: SUMMARY });
  });
  await frame.locator("#tab-attribution").click();
  const bar = frame.locator('[aria-label="The strongest heads"] .bar-row').first();
  await bar.focus();
  await editor.page.keyboard.press("x");
  await frame.locator(".edit-bar", { hasText: "1 head off" }).waitFor();
  await inThemes(async (name, theme) => {
    await frame.locator(`body[data-vscode-theme-id="${theme}"]`).waitFor();
    const page = await boxOf(editor.page.locator(".editor-group-container").first());
    await picture(`why-${name}`, { ...page, y: page.y + TAB, height: WHY });
  });
  await editor.openFile("prompts.prompt");
  await editor.page.mouse.move(SIZE.width - 1, SIZE.height / 2); // where it brings up no hint
  await editor.page.locator(".codelens-decoration", { hasText: "Capture" }).nth(1).waitFor();
  await inThemes(async (name) => {
    await editor.command("nanoscope: Capture Trace...");
    const input = editor.page.locator(".quick-input-widget");
    await input.locator(".quick-input-title", { hasText: "Capture Trace" }).waitFor();
    await input.locator("input.input").fill(PROMPT);
    const { x, width } = await boxOf(input);
    await picture(`capture-${name}`, { x: x - 20, y: 0, width: width + 40, height: ASKED });
    await editor.page.keyboard.press("Escape");
  });
} finally {
  await editor.close();
}
