// A head in words: its name, a number of it, and what it does.

import type { TraceData } from "../../src/shared/messages";
import { element } from "../common/dom";
import { headName, threeDigits } from "../common/number_text";
import { bestRole, headStatistics, type Statistic } from "../common/statistics";
import type { HeadPlace } from "./trace_heads";

export function unitOf({ unit }: Statistic): string {
  return unit === undefined || unit === "" ? "" : ` ${unit}`;
}

/** L3H2 · Entropy 1.23 nats, and what the head does. */
export function headWords(trace: TraceData, place: HeadPlace, statistic: Statistic | null): Node[] {
  const statistics = headStatistics(trace.analysis, place.layer, place.head);
  const role = bestRole(trace, statistics);
  const value =
    statistic === null ? "" : `${statistic.label} ${threeDigits(statistics?.[statistic.name])}${unitOf(statistic)}`;
  const does =
    role === null
      ? ""
      : role.clear
        ? `${role.statistic.label} ${threeDigits(role.value)}: ${role.statistic.role.words}`
        : `no clear role; most ${role.statistic.label.toLowerCase()}, ${threeDigits(role.value)}`;
  const parts = role !== null && role.statistic.name === statistic?.name ? [does] : [value, does];
  return [
    element("strong", {}, headName(place.layer, place.head)),
    element("span", { class: "muted" }, ` ${parts.filter((part) => part !== "").join(" · ")}`),
  ];
}

/** Options under a heading. */
export function group(label: string, statistics: readonly Statistic[]): HTMLOptGroupElement {
  const options = statistics.map(({ name, label: text }) => element("option", { value: name }, text));
  return element("optgroup", { label }, ...options);
}
