// The attention tab as a microscope: keys that never jump, heads as pictures, scales that show.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { after, before, test } from "node:test";
import { Editor, eventually, PYTHON, ROOT } from "./harness/editor.mjs";
import { coloursOf, drawnHead } from "./harness/matrix.mjs";
import { slow } from "./harness/remote.mjs";

const PROMPT = "apple, river, stone, apple, river,";
const PRESSES = 15;
const QUIET_MS = 700; // in which a late echo would have come
const POOLED = `
import json, sys
from nanochat.analysis.thumbnails import pooled
from nanochat.trace_storage import TraceStorage
folder, trace_id = sys.argv[1:]
with TraceStorage(folder).open_trace(trace_id) as trace:
    print(json.dumps([pooled(trace.tensor(f"attention_weights.layer_{layer}"))[0].tolist() for layer in range(4)]))`;
let editor;
let frame;
let id;

const remote = { delay: 0 };

before(async () => {
  editor = await Editor.start({
    connect: (page) => slow(page, remote),
    prepare: (fresh) => {
      id = fresh.capture(PROMPT, "--max-tokens", "8", "--format", "safetensors");
    },
  });
  await editor.showTraces();
  await editor.openFile(`${id}.safetensors`);
  frame = await editor.frame(".trace .attention");
  await drawnHead(frame);
});
after(() => editor?.close());

async function chosen() {
  const { layer, head } = await frame.locator(".head[aria-selected=true]").evaluate(({ dataset }) => ({ ...dataset }));
  return 4 * Number(layer) + Number(head);
}

for (const delay of [0, 300]) {
  for (const rate of [5, 20]) {
    test(`${PRESSES} presses, ${rate} a second, with ${delay} ms of delay: ${PRESSES} steps`, async () => {
      await frame.locator('.head[data-layer="0"][data-head="0"]').click();
      await eventually("The first head", async () => (await chosen()) === 0);
      await new Promise((done) => setTimeout(done, QUIET_MS));
      remote.delay = delay;
      try {
        for (const [key, end] of [
          ["h", PRESSES],
          ["Shift+H", 0],
        ]) {
          for (let press = 0; press < PRESSES; press++) {
            await editor.page.keyboard.press(key);
            await new Promise((done) => setTimeout(done, 1000 / rate));
          }
          await eventually(`Head ${end}`, async () => (await chosen()) === end);
          await new Promise((done) => setTimeout(done, QUIET_MS + 2 * delay));
          assert.equal(await chosen(), end);
        }
        await drawnHead(frame, "0.0");
      } finally {
        remote.delay = 0;
      }
    });
  }
}

test("each head is a picture of its own weights", async () => {
  await frame.getByLabel("Colour heads by").selectOption("pattern");
  await eventually("The pictures", () => frame.locator(".head-pictures[data-pictures='16']").isVisible());
  const words = ["-c", POOLED, editor.traces, id];
  const heads = JSON.parse(execFileSync(PYTHON, words, { cwd: ROOT, encoding: "utf8" })).flat();
  const pictures = await frame.evaluate(() => {
    const canvas = document.querySelector(".head-pictures");
    const [sheet, context] = [canvas.getBoundingClientRect(), canvas.getContext("2d")];
    const ratio = canvas.width / sheet.width;
    return [...document.querySelectorAll(".head")].map((cell) => {
      const box = cell.getBoundingClientRect();
      const pixels = (from, to) => [Math.round(from * ratio), Math.round(to * ratio) - Math.round(from * ratio)];
      const [left, width] = pixels(box.left - sheet.left, box.right - sheet.left);
      const [top, height] = pixels(box.top - sheet.top, box.bottom - sheet.top);
      return { width, height, data: [...context.getImageData(left, top, width, height).data] };
    });
  });
  assert.equal(pictures.length, heads.length);
  for (const [index, weights] of heads.entries()) {
    const { width, height, data } = pictures[index];
    assert.ok(width >= weights.length, `a pixel at least for each weight: ${width}`);
    const colours = new Map();
    for (const [query, row] of weights.entries()) {
      for (const [key, code] of row.entries()) {
        const [x, y] = [key, query].map((place, axis) => Math.floor(((place + 0.5) * [width, height][axis]) / row.length));
        const [red, green, blue, alpha] = data.slice(4 * (y * width + x));
        assert.equal(alpha, key > query ? 0 : 255, `head ${index}, ${query} → ${key}`);
        if (key <= query) {
          const colour = `${red} ${green} ${blue}`;
          assert.equal(colours.get(code) ?? colour, colour, `one colour for one weight, head ${index}`);
          colours.set(code, colour);
        }
      }
    }
    assert.ok(colours.size > 4, `head ${index} is blank`);
  }
  await editor.screenshot("patterns");
});

test("a number colours the heads instead, and the choice stays", async () => {
  await frame.getByLabel("Colour heads by").selectOption("sink");
  await eventually("No pictures", async () => !(await frame.locator(".head-pictures").isVisible()));
  assert.match(await frame.locator(".head").first().getAttribute("aria-label"), /^L0H0, Sink 0\.\d+$/);
  await frame.getByLabel("Colour heads by").selectOption("pattern");
  await eventually("The pictures", () => frame.locator(".head-pictures[data-pictures='16']").isVisible());
});

test("each scale shows the head in colours of its own", async () => {
  const scale = frame.getByLabel("Scale of the colours");
  const ends = [];
  for (const name of ["fitted", "log", "unit"]) {
    await scale.selectOption(name);
    await drawnHead(frame);
    assert.ok((await coloursOf(frame)) > 8, `${name} is blank`);
    ends.push(await frame.locator(".bar.scale .legend").innerText());
    await editor.screenshot(`scale-${name}`);
  }
  assert.match(ends[0], /0\.\d+\+/);
  assert.match(ends[1], /1$/);
  await scale.selectOption("fitted");
});
