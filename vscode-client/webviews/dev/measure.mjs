// Times from the choice of a head to all of it on the screen, and memory after many traces.
//
//   node webviews/dev/measure.mjs [switches]
import { drawn, start } from "./browser.mjs";

const SIZES = [64, 256, 1024];
const WIDTHS = [320, 1100];

const median = (values) => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)];

/** Milliseconds for each head of a trace that was not shown before. */
async function drawTimes(harness, positions, width) {
  const { page, frame } = await harness.open({ trace: harness.nearest(positions), width });
  await drawn(frame);
  const heads = await frame.$$eval(".heads .head", (cells) =>
    cells.map((cell) => [cell.dataset.layer, cell.dataset.head]),
  );
  const times = [];
  for (const [layer, head] of heads.slice(1, 17)) {
    await frame.click(`.head[data-layer="${layer}"][data-head="${head}"]`);
    await drawn(frame, `${layer}.${head}`);
    times.push(await frame.evaluate(() => performance.getEntriesByName("nanoscope:head")[0].duration));
  }
  await page.close();
  return times;
}

/** Milliseconds of work a move of the mouse over the matrix costs. */
async function hoverCost(harness, positions) {
  const { page, frame } = await harness.open({ trace: harness.nearest(positions), width: 1100 });
  await drawn(frame);
  const box = await (await frame.$(".matrix-window")).boundingBox();
  const client = await page.context().newCDPSession(page);
  await client.send("Performance.enable");
  const busy = async () => {
    const { metrics } = await client.send("Performance.getMetrics");
    return metrics.find(({ name }) => name === "TaskDuration").value * 1000;
  };
  const before = await busy();
  const moves = 100;
  for (let i = 0; i < moves; i++) {
    await page.mouse.move(box.x + (box.width * i) / moves / 2, box.y + box.height * (0.5 + i / moves / 2.1));
  }
  const cost = ((await busy()) - before) / moves;
  await page.close();
  return cost;
}

/** Bytes of heap and of DOM nodes after showing so many traces, every other head of them looked at. */
async function memory(harness, view, switches) {
  const { page, frame } = await harness.open({ view, trace: harness.nearest(64) });
  const client = await page.context().newCDPSession(page);
  await client.send("Performance.enable");
  const ids = [64, 240, 1024, 12, 52].map((positions) => harness.nearest(positions));
  const look = async () => {
    await client.send("HeapProfiler.collectGarbage");
    const { metrics } = await client.send("Performance.getMetrics");
    const value = (name) => metrics.find((metric) => metric.name === name).value;
    return { heap: value("JSHeapUsedSize"), nodes: value("Nodes"), listeners: value("JSEventListeners") };
  };
  const seen = [];
  for (let i = 0; i < switches; i++) {
    await page.evaluate((id) => window.harness.show(id), ids[i % ids.length]);
    if (view === "trace") {
      await drawn(frame);
      await page.evaluate((layer) => window.harness.select({ layer, head: 1, token: 5 }), i % 4);
      await drawn(frame, `${i % 4}.1`);
    }
    if (i % ids.length === ids.length - 1 && (i < 2 * ids.length || i >= switches - ids.length)) {
      seen.push([i + 1, await look()]);
    }
  }
  await page.close();
  return seen;
}

const harness = await start();
for (const positions of SIZES) {
  for (const width of WIDTHS) {
    const times = await drawTimes(harness, positions, width);
    const [middle, most] = [median(times), Math.max(...times)].map(Math.round);
    console.log(
      `${harness.nearest(positions)}, about ${positions} positions, ${width} px: ${middle} ms, at most ${most}`,
    );
  }
  console.log(`  a move of the mouse costs ${(await hoverCost(harness, positions)).toFixed(1)} ms`);
}
for (const view of ["trace", "summary"]) {
  for (const [count, { heap, nodes, listeners }] of await memory(harness, view, Number(process.argv[2] ?? 200))) {
    const size = (heap / 2 ** 20).toFixed(1);
    console.log(`${view} after ${count} traces: ${size} MiB of heap, ${nodes} nodes, ${listeners} listeners`);
  }
}
await harness.close();
