// Curves over the layers, with a crosshair that all charts share; the values are in a table too.

import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import type { TraceData } from "../../src/shared/messages";
import { element } from "../common/dom";
import { threeDigits } from "../common/number_text";
import { traceOf, type Page } from "../common/page";
import { metricsOf, type Statistic } from "../common/statistics";
import type { Theme } from "../common/theme";
import { curveGroups, curveTable, type CurveGroup } from "./layer_curves";

const HEIGHT = 132;
const CHOICE_KEY = "activations";
const DEFAULT_CHOICE = "std";
const DASHES = [[], [6, 3], [2, 3], [8, 3, 2, 3], [4, 4], [1, 3]];

export function layerChartsPart(page: Page): HTMLElement {
  const choice = element("select");
  const label = element("label", { class: "push muted" }, "Activations by ", choice);
  const charts = element("div", { class: "charts" });
  const table = element("table", { class: "layer-table" });
  const values = element(
    "details",
    {},
    element("summary", {}, "Values by layer"),
    element("div", { class: "scroll-x", tabindex: 0, role: "region", "aria-label": "Values by layer" }, table),
  );
  const section = element(
    "section",
    { class: "layers", "aria-label": "Layers" },
    element("div", { class: "bar" }, element("h2", {}, "Layers"), label),
    charts,
    values,
  );
  let shown: Chart[] = [];

  const resize = new ResizeObserver(() => {
    shown.forEach((chart) => {
      chart.resize();
    });
  });
  resize.observe(charts);

  function draw(trace: TraceData): void {
    shown.forEach((chart) => {
      chart.destroy();
    });
    const metric = metricsOf(trace, "layer").find(({ name }) => name === choice.value);
    const groups = curveGroups(trace.analysis, metric);
    choice.title = metric?.meaning ?? "";
    section.hidden = groups.length === 0;
    shown = groups.map((group) => chartOf(group, page));
    charts.replaceChildren(...shown.map((chart) => chart.element));
    shown.forEach((chart) => {
      chart.resize();
    });
    fillTable(table, groups);
  }

  choice.addEventListener("change", () => {
    page.host.keep(CHOICE_KEY, choice.value);
    const trace = traceOf(page.store.state);
    if (trace !== null) {
      draw(trace);
    }
  });

  page.store.subscribe((state, before) => {
    const trace = traceOf(state);
    if (trace === null) {
      return;
    }
    if (state.view !== before.view) {
      offer(choice, metricsOf(trace, "layer"), page.host.recall(CHOICE_KEY));
      label.hidden = trace.analysis.activations == null;
    }
    if (state.view !== before.view || state.theme !== before.theme) {
      draw(trace);
    }
    if (state.selection.layer !== before.selection.layer) {
      shown.forEach((chart) => {
        chart.redraw();
      });
    }
  });
  return section;
}

function offer(choice: HTMLSelectElement, metrics: readonly Statistic[], kept: unknown): void {
  choice.replaceChildren(...metrics.map(({ name, label }) => element("option", { value: name }, label)));
  const wanted = [kept, DEFAULT_CHOICE].map((key) => metrics.find(({ name }) => name === key));
  choice.value = wanted.find((metric) => metric !== undefined)?.name ?? metrics[0]?.name ?? "";
}

function fillTable(table: HTMLElement, groups: readonly CurveGroup[]): void {
  const { heads, rows } = curveTable(groups);
  const head = element("tr", {}, ...heads.map((text) => element("th", { scope: "col" }, text)));
  const lines = rows.map(([layer, ...values]) =>
    element(
      "tr",
      {},
      element("th", { scope: "row" }, String(layer)),
      ...values.map((value) => element("td", {}, threeDigits(value))),
    ),
  );
  table.replaceChildren(element("thead", {}, head), element("tbody", {}, ...lines));
}

interface Chart {
  element: HTMLElement;
  resize: () => void;
  redraw: () => void;
  destroy: () => void;
}

function chartOf(group: CurveGroup, page: Page): Chart {
  const { theme } = page.store.state;
  const legend = legendOf(group, theme);
  const canvas = element("div", { class: "chart-canvas", "aria-hidden": "true" });
  const unit = group.unit === "" ? "" : ` ${group.unit}`;
  const title = element("h3", {}, group.title, element("span", { class: "muted" }, unit));
  const figure = element("figure", { class: "chart" }, element("figcaption", {}, title, legend.element), canvas);
  const options: uPlot.Options = {
    width: 260,
    height: HEIGHT,
    legend: { show: false },
    cursor: { y: false, points: { size: 6 }, sync: { key: "layers", setSeries: false }, drag: { x: false, y: false } },
    scales: { x: { time: false, range: (_, low, high) => [low - 0.3, high + 0.3] }, y: { range: rangeOf } },
    axes: [axisOf(theme, true), axisOf(theme, false)],
    series: [{}, ...group.curves.map((curve, index) => seriesOf(curve.name, index, theme))],
    hooks: {
      drawClear: [
        (plot) => {
          markLayer(plot, page.store.state.selection.layer, theme);
        },
      ],
      setCursor: [
        (plot) => {
          legend.show(plot.cursor.idx ?? null);
        },
      ],
    },
  };
  const plot = new uPlot(options, [group.layers, ...group.curves.map((curve) => curve.values)], canvas);
  plot.over.addEventListener("click", () => {
    const layer = group.layers[plot.cursor.idx ?? -1];
    if (layer !== undefined) {
      page.select({ layer });
    }
  });
  return {
    element: figure,
    resize: () => {
      const width = figure.clientWidth;
      if (width > 0 && width !== plot.width) {
        plot.setSize({ width, height: HEIGHT });
      }
    },
    redraw: () => {
      plot.redraw();
    },
    destroy: () => {
      plot.destroy();
    },
  };
}

/** From 0, with room above. */
function rangeOf(_: uPlot, low: number, high: number): [number, number] {
  const most = Number.isFinite(high) && high > 0 ? high : 1;
  return [Math.min(0, low), most * 1.08];
}

function axisOf(theme: Theme, ofLayers: boolean): uPlot.Axis {
  const line = { stroke: theme.border, width: 1 };
  const common = {
    stroke: theme.muted,
    font: `11px ${theme.font}`,
    grid: { ...line, show: !ofLayers },
    ticks: { ...line, size: 3 },
  };
  return ofLayers
    ? { ...common, size: 22, space: 26, incrs: [1, 2, 4, 8, 16], values: (_, places) => places.map(String) }
    : { ...common, size: 40, space: 30 };
}

function seriesOf(label: string, index: number, theme: Theme): uPlot.Series {
  return {
    label,
    stroke: theme.series[index % theme.series.length] ?? theme.foreground,
    width: 1.5,
    dash: DASHES[index % DASHES.length] ?? [],
    points: { show: true, size: 4 },
  };
}

/** The layer that is selected. */
function markLayer(plot: uPlot, layer: number, theme: Theme): void {
  const x = plot.valToPos(layer, "x", true);
  const { left, top, width, height } = plot.bbox;
  if (x >= left && x <= left + width) {
    plot.ctx.fillStyle = theme.accent;
    plot.ctx.globalAlpha = 0.5;
    plot.ctx.fillRect(Math.round(x) - 1, top, 2, height);
    plot.ctx.globalAlpha = 1;
  }
}

interface Legend {
  element: HTMLElement;
  /** Values at a layer's place; null: of none. */
  show: (index: number | null) => void;
}

function legendOf(group: CurveGroup, theme: Theme): Legend {
  const layer = element("span", { class: "muted" });
  const values = group.curves.map(() => element("span", { class: "chart-value" }));
  const entries = group.curves.map((curve, index) => {
    const swatch = element("span", { class: "swatch", "aria-hidden": "true" });
    swatch.style.borderTopColor = theme.series[index % theme.series.length] ?? "";
    swatch.style.borderTopStyle = index === 0 ? "solid" : index === 2 ? "dotted" : "dashed";
    return element("span", { class: "chart-entry" }, swatch, curve.name, " ", values[index] ?? null);
  });
  return {
    element: element("div", { class: "chart-legend" }, ...entries, layer),
    show: (index) => {
      layer.textContent = index === null ? "" : `layer ${group.layers[index] ?? ""}`;
      values.forEach((value, i) => {
        value.textContent = index === null ? "" : threeDigits(group.curves[i]?.values[index]);
      });
    },
  };
}
