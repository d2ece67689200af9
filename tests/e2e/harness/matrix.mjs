// Looks at the attention view as a person would: at its pixels, and with the mouse on its cells.
import assert from "node:assert/strict";
import { WAIT_MS, eventually } from "./editor.mjs";
import { headOf } from "./reader.mjs";

const DRAWN = ".matrix[data-complete=true]";

/** Waits until a head is drawn whole ("2.5"; whichever is chosen, where none is named); gives its layer and number. */
export async function drawnHead(frame, name, milliseconds = WAIT_MS) {
  const place = frame.locator(name === undefined ? DRAWN : `${DRAWN}[data-head="${name}"]`);
  await place.waitFor({ timeout: milliseconds });
  return (await place.getAttribute("data-head")).split(".").map(Number);
}

/** How many colours the matrix' canvas has. */
export async function coloursOf(frame) {
  return frame.evaluate((selector) => {
    const canvas = document.querySelector(`${selector} canvas`);
    const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    return new Set(new Uint32Array(data.buffer)).size;
  }, DRAWN);
}

/** What is told with the mouse over a cell, or over one of those that share its pixel: { query, key, value }. */
export async function pointAt(editor, frame, query, key, positions) {
  const matrix = frame.locator(".panel.main .matrix-window");
  await matrix.evaluate((place, share) => {
    const { top, height } = place.getBoundingClientRect();
    const below = top + share * height;
    if (below < 0 || below > window.innerHeight) {
      document.scrollingElement.scrollBy(0, below - window.innerHeight / 2); // a view in the side bar is low
    }
  }, (query + 0.5) / positions);
  const box = await matrix.boundingBox();
  const cell = box.width / positions;
  await editor.page.mouse.move(box.x + (key + 0.5) * cell, box.y + (query + 0.5) * cell);
  const near = Math.ceil(1 / cell) - 1; // a mouse points at whole pixels
  return eventually(`The weight of ${query} → ${key}`, () => readout(frame, query, key, near));
}

/** What the readout line says once it has the value of that cell, or of one at most so many cells away. */
export async function readout(frame, query, key, near = 0) {
  const told = await frame.evaluate(() => {
    const line = document.querySelector(".readout[data-value]");
    const [at, other] = [...(line?.querySelectorAll(".chip small") ?? [])].map((part) => Number(part.textContent));
    return other === undefined ? null : { query: at, key: other, value: line.dataset.value };
  });
  const isNear = told !== null && Math.abs(told.query - query) <= near && Math.abs(told.key - key) <= near;
  return isNear ? told : null;
}

/** Asserts that the weights told on hover are the file's, cell by cell along diagonals of the lower triangle. */
export async function assertHovers(editor, frame, traceId, places) {
  const [layer, head] = await drawnHead(frame);
  const weights = headOf(editor.traces, traceId, layer, head);
  const seen = new Set();
  for (let step = 1; step <= places; step++) {
    const query = Math.floor((weights.length * step) / (places + 1));
    const key = step % 2 === 0 ? query : Math.floor(query / 3);
    const told = await pointAt(editor, frame, query, key, weights.length);
    const place = `L${layer}H${head}, ${told.query} → ${told.key}`;
    assert.equal(Number(told.value), weights[told.query][told.key], place);
    seen.add(told.value);
  }
  assert.ok(seen.size > 2, "all weights were alike");
}
