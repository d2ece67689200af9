// Entropy and sparsity over the layers, each as a line as high as a line of text.

import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { element } from "../common/dom";
import { threeDigits } from "../common/number_text";
import { traceOf, type Page } from "../common/page";
import { curveGroups, type CurveGroup } from "../layers/layer_curves";

const HEIGHT = 30;
const LEAST_WIDTH = 40;

interface Sparkline {
  element: HTMLElement;
  value: HTMLElement;
  group: CurveGroup;
  plot: uPlot;
}

export function sparklinesPart(page: Page): HTMLElement {
  const lines = element("div", { class: "sparklines" });
  const section = element("section", { "aria-label": "Layers" }, element("h2", {}, "Layers"), lines);
  let shown: Sparkline[] = [];

  const resize = new ResizeObserver(() => {
    shown.forEach(fit);
  });
  resize.observe(lines);

  function tell(): void {
    const { layer } = page.store.state.selection;
    for (const { group, value } of shown) {
      const index = group.layers.indexOf(layer);
      value.textContent = index === -1 ? "" : threeDigits(group.curves[0]?.values[index]);
      value.title = index === -1 ? "" : `Layer ${layer}`;
    }
  }

  page.store.subscribe((state, before) => {
    const trace = traceOf(state);
    if (trace === null) {
      return;
    }
    if (state.view !== before.view || state.theme !== before.theme) {
      shown.forEach(({ plot }) => {
        plot.destroy();
      });
      const groups = curveGroups(trace.analysis, undefined);
      section.hidden = groups.length === 0;
      shown = groups.map((group) => sparkline(group, page));
      lines.replaceChildren(...shown.map((line) => line.element));
      shown.forEach(fit);
    }
    if (state.selection.layer !== before.selection.layer) {
      shown.forEach(({ plot }) => {
        plot.redraw(false);
      });
    }
    tell();
  });
  return section;
}

function fit({ plot }: Sparkline): void {
  const width = plot.root.parentElement?.clientWidth ?? 0;
  if (width >= LEAST_WIDTH && width !== plot.width) {
    plot.setSize({ width, height: HEIGHT });
  }
}

function sparkline(group: CurveGroup, page: Page): Sparkline {
  const { theme } = page.store.state;
  const canvas = element("div", { class: "sparkline", "aria-hidden": "true" });
  const value = element("span", { class: "sparkline-value" });
  const name = element(
    "span",
    { title: group.unit },
    group.title.replace(/^Attention (.)/, (_, first: string) => first.toUpperCase()),
  );
  const values = group.curves[0]?.values ?? [];
  const options: uPlot.Options = {
    width: 120,
    height: HEIGHT,
    padding: [3, 3, 3, 3],
    legend: { show: false },
    cursor: { show: false },
    scales: {
      x: { time: false, range: (_, low, high) => [low - 0.3, high + 0.3] },
      y: { range: (_, low, high) => (low < high ? [low, high] : [low - 1, high + 1]) },
    },
    axes: [{ show: false }, { show: false }],
    series: [{}, { stroke: theme.series[0] ?? theme.foreground, width: 1.5, points: { show: values.length === 1 } }],
    hooks: {
      draw: [
        (plot) => {
          markLayer(plot, group, page.store.state.selection.layer, page.store.state.theme.accent);
        },
      ],
    },
  };
  const plot = new uPlot(options, [group.layers, values], canvas);
  plot.over.addEventListener("click", (event) => {
    const [first, last] = [group.layers[0] ?? 0, group.layers.at(-1) ?? 0];
    const layer = Math.round(plot.posToVal(event.offsetX, "x"));
    page.select({ layer: Math.max(first, Math.min(last, layer)) });
  });
  const table = element("span", { class: "visually-hidden" }, spoken(group));
  return { element: element("div", { class: "sparkline-row" }, name, canvas, value, table), value, group, plot };
}

function spoken({ layers, curves: [curve] }: CurveGroup): string {
  return layers.map((layer, index) => `layer ${layer}: ${threeDigits(curve?.values[index])}`).join(", ");
}

/** A dot on the chosen layer. */
function markLayer(plot: uPlot, { layers, curves: [curve] }: CurveGroup, layer: number, colour: string): void {
  const value = curve?.values[layers.indexOf(layer)];
  if (value == null) {
    return;
  }
  plot.ctx.fillStyle = colour;
  plot.ctx.beginPath();
  plot.ctx.arc(plot.valToPos(layer, "x", true), plot.valToPos(value, "y", true), 3 * devicePixelRatio, 0, 2 * Math.PI);
  plot.ctx.fill();
}
