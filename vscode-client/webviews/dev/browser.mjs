// A browser on the harness, for the scripts beside this one and for end-to-end tests.
//
// playwright-core and axe-core are looked for from $NANOSCOPE_BROWSER_TOOLS, else from here.
import { createRequire } from "node:module";
import path from "node:path";
import { serve } from "./server.mjs";

const tools = createRequire(path.join(process.env.NANOSCOPE_BROWSER_TOOLS ?? import.meta.dirname, "tools.js"));

export async function start() {
  const { chromium } = tools("playwright-core");
  const server = await serve();
  const executablePath = process.env.CHROMIUM ?? "/usr/bin/chromium";
  const browser = await chromium.launch({ executablePath, args: ["--no-sandbox", "--disable-gpu"] });
  const { result } = await server.daemon.request("list_traces", {});
  return {
    browser,
    traces: result.traces.filter((trace) => trace.readable),
    /** The trace whose number of positions is nearest. */
    nearest: (positions) =>
      result.traces
        .filter((trace) => trace.readable)
        .reduce((best, trace) => (off(trace, positions) < off(best, positions) ? trace : best)).trace_id,
    open: (options) => open(browser, server.url, options),
    close: async () => {
      await browser.close();
      server.close();
    },
  };
}

function off(trace, positions) {
  return Math.abs(trace.prompt_tokens + trace.response_tokens - 1 - positions);
}

/** A page with one view; `problems` has what the page complained of, the policy's violations among it. */
async function open(browser, url, { view = "trace", theme = "dark-plus", trace, width = 1100, height = 900, ...rest }) {
  const page = await browser.newPage({ viewport: { width, height } });
  const problems = [];
  page.on("pageerror", (error) => problems.push(error.message));
  page.on("console", (message) => {
    if (message.type() === "error" && !message.location().url.endsWith("favicon.ico")) problems.push(message.text());
  });
  const query = new URLSearchParams({ view, theme, ...(trace === undefined ? {} : { trace }), ...rest });
  await page.goto(`${url}/?${query}`);
  const frame = await (await page.waitForSelector("iframe")).contentFrame();
  await frame.waitForSelector("main");
  return { page, frame, problems };
}

/** Waits until all of a head is drawn. */
export async function drawn(frame, head) {
  const which = head === undefined ? "" : `[data-head="${head}"]`;
  await frame.waitForSelector(`.matrix[data-complete="true"]${which}`, { timeout: 30_000 });
}

export async function addAxe(frame) {
  await frame.evaluate(tools("axe-core").source);
}
