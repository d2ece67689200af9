// What the part pointed at is made of: the positions that a head read from, an MLP's neurons.

import { element } from "../common/dom";
import { headName } from "../common/number_text";
import { positionWords } from "../why/place";
import type { Attribution } from "./attribution_state";
import { signed } from "./bars";
import { componentName, sourcesOf, type Part } from "./parts";

const MOST = 8;

export function detailPart(attribution: Attribution): HTMLElement {
  const { page, store } = attribution;
  const name = element("h2", {});
  const lists = element("div", { class: "detail-lists" });
  const part = element("section", { class: "detail", "aria-label": "The part looked at" }, name, lists);

  function shown(): Part | null {
    const { pointed, heads } = store.state;
    const { layer, head } = page.store.state.selection;
    return pointed ?? heads.find((one) => one.name === headName(layer, head)) ?? heads[0] ?? null;
  }

  function show(): void {
    const one = shown();
    const trace = attribution.trace();
    part.classList.toggle("waiting", one === null);
    if (one === null || trace === null) {
      return;
    }
    name.textContent = `${one.name} ${signed(one.value)}`;
    const sources = one.head === null ? [] : sourcesOf(one).slice(0, MOST);
    const inside = [...one.components]
      .sort((a, b) => Math.abs(b.value) - Math.abs(a.value))
      .map((component) => ({ name: componentName(component), value: component.value }))
      .filter((component) => component.name !== "")
      .slice(0, MOST);
    lists.replaceChildren(
      listOf(
        "Read from",
        sources.map(({ position, value }) => ({ name: positionWords(trace, position), value })),
      ),
      listOf("Made of", inside),
    );
  }

  store.subscribe(show);
  page.store.subscribe(show);
  return part;
}

function listOf(title: string, rows: readonly { name: string; value: number }[]): HTMLElement {
  const items = rows.map(({ name, value }) =>
    element("li", {}, element("span", {}, name), element("span", {}, signed(value))),
  );
  const list = element("ol", {}, ...items);
  return element("div", { hidden: rows.length === 0 }, element("p", { class: "muted" }, title), list);
}
