// Times as a user has them, by the pages' own clocks: from the mouse button going down in the workbench to the frame after
// the one that shows the trace. The test itself keeps still in between.
import { eventually } from "./editor.mjs";

const STILL_MS = 500;

/** In the workbench: notes when the button goes down, and from when on each of the webviews is in sight. */
function watchWorkbench(webviews) {
  const now = () => performance.timeOrigin + performance.now();
  const timing = { pressed: null, seen: webviews.map(() => null) };
  const look = () => {
    webviews.forEach((webview, index) => {
      if (timing.seen[index] === null && webview.isConnected && webview.checkVisibility({ visibilityProperty: true })) {
        timing.seen[index] = Infinity;
        requestAnimationFrame(() => (timing.seen[index] = now()));
      }
    });
    if (timing.seen.includes(null) && globalThis.timing === timing) requestAnimationFrame(look);
  };
  globalThis.timing = timing;
  globalThis.addEventListener(
    "mousedown",
    ({ timeStamp }) => {
      timing.pressed = performance.timeOrigin + timeStamp;
      requestAnimationFrame(look);
    },
    { capture: true, once: true },
  );
}

/** In a trace's page: notes when it is about that trace with all of the matrix drawn; 0 where it is so already. */
function watchPage(id) {
  const isDrawn = () => {
    const matrix = document.querySelector(".trace:not([hidden]) .panel.main .matrix");
    return matrix?.dataset.trace === id && matrix.dataset.complete === "true" && matrix.clientWidth > 0;
  };
  globalThis.drawn?.observer.disconnect();
  const drawn = { at: isDrawn() ? 0 : null };
  drawn.observer = new MutationObserver(() => {
    if (drawn.at === null && isDrawn()) {
      drawn.at = Infinity;
      requestAnimationFrame(() => (drawn.at = performance.timeOrigin + performance.now()));
    }
  });
  drawn.observer.observe(document.body, { attributes: true, subtree: true });
  globalThis.drawn = drawn;
}

/** The milliseconds from the press of `press` until a trace is shown by a page that was there before. */
export async function timeOfShowing(editor, id, press) {
  const pages = [];
  for (const frame of editor.page.frames()) {
    const isPage = await frame.evaluate(() => document.querySelector(".trace") !== null).catch(() => false);
    if (isPage) pages.push({ frame, webview: await frame.parentFrame().frameElement() });
  }
  for (const { frame } of pages) await frame.evaluate(watchPage, id);
  await editor.page.evaluate(watchWorkbench, pages.map(({ webview }) => webview));
  await press();
  await new Promise((done) => setTimeout(done, STILL_MS));
  return eventually(`The page of ${id}`, async () => {
    const { pressed, seen } = await editor.page.evaluate(() => globalThis.timing);
    for (const [index, { frame }] of pages.entries()) {
      const drawn = await frame.evaluate(() => globalThis.drawn.at);
      const shown = Math.max(drawn ?? Infinity, seen[index] ?? Infinity);
      if (pressed !== null && Number.isFinite(shown)) return shown - pressed;
    }
    return null;
  });
}
