// The walkthrough: its steps, and the picture of each in the kind of theme that is set.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { Editor, eventually } from "./editor.mjs";

const THEMES = {
  "Default Dark Modern": "dark",
  "Default Light Modern": "light",
  "Default High Contrast": "hc",
  "Default High Contrast Light": "hc-light",
};
const PICTURES = { "Capture a trace": "capture", "Look at a head": "attention", "See it at a glance": "summary" };
let editor;

before(async () => {
  editor = await Editor.start();
  await editor.showTraces();
});
after(() => editor?.close());

test("each step shows its picture, in every kind of theme", async () => {
  await editor.command("Welcome: Open Walkthrough...");
  const entry = editor.page.locator(".quick-input-list .monaco-list-row", { hasText: "See inside a model" });
  await entry.click();
  const page = editor.page.locator(".gettingStartedContainer");
  for (const [title, name] of Object.entries(PICTURES)) {
    await page.locator(".getting-started-step", { hasText: title }).click();
    const picture = page.locator(".getting-started-media img");
    for (const [theme, kind] of Object.entries(THEMES)) {
      editor.configure({ "workbench.colorTheme": theme });
      const wide = await eventually(`${name} in ${theme}`, () =>
        picture.evaluate((image, end) => (image.src.endsWith(end) ? image.naturalWidth : 0), `${name}-${kind}.png`),
      );
      assert.ok(wide > 250, `${wide} pixels`);
    }
    assert.ok((await picture.getAttribute("alt")).length > 20);
    await editor.screenshot(`walkthrough-${name}`);
  }
});
