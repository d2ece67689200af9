// What the stream says at one cell: the one pointed at, else the chosen one; its likeliest ten can be followed.

import { element } from "../common/dom";
import { percent, threeDigits } from "../common/number_text";
import { tokenLabel } from "../common/token_text";
import { positionWords } from "../why/place";
import { pointWords } from "./lens_points";
import type { Lens, LensPlace } from "./lens_state";

export function lensReadout(lens: Lens, attribution: () => void): HTMLElement {
  const { page, store } = lens;
  const where = element("p", { class: "lens-where" });
  const numbers = element("p", { class: "muted" });
  const list = element("ol", { class: "lens-top" });
  const who = element("button", { type: "button", class: "quiet" }, "Who wrote it ", element("kbd", {}, "Enter"));
  const part = element("section", { class: "lens-readout", "aria-label": "At the cell" }, where, numbers, list, who);
  who.addEventListener("click", attribution);

  function show(): void {
    const trace = lens.trace();
    const place: LensPlace = store.state.pointed ?? { row: store.state.row, position: lens.position() };
    const point = store.state.points[place.row];
    const belief = store.state.beliefs.get(place.position)?.[place.row];
    part.classList.toggle("waiting", belief === undefined);
    if (trace === null || point === undefined || belief === undefined) {
      return;
    }
    where.replaceChildren(
      element("strong", {}, capital(pointWords(point))),
      element("span", { class: "muted" }, `, token ${positionWords(trace, place.position)}`),
    );
    const followed = lens.followed(place);
    const told =
      followed === null
        ? ""
        : `${tokenLabel({ text: followed.text })} ${percent(followed.probability)}, #${followed.rank.toLocaleString("en")}, ` +
          `logit ${threeDigits(followed.logit)} · `;
    numbers.textContent = `${told}KL ${threeDigits(belief.kl)} · entropy ${threeDigits(belief.entropy)} nats`;
    list.replaceChildren(
      ...belief.top.map(({ token, text, probability }) => {
        const pinned = token === store.state.pin;
        const label = tokenLabel({ text });
        const title = pinned ? "Follow the written token again" : `Follow ${label} in all cells`;
        const button = element("button", { type: "button", title, "aria-pressed": String(pinned) });
        const bar = element("span", { class: "lens-share", "aria-hidden": "true" });
        bar.style.width = `${100 * (probability ?? 0)}%`;
        button.append(bar, element("span", { class: "mono" }, label), element("span", {}, percent(probability)));
        button.addEventListener("click", () => {
          lens.pin(pinned ? null : token);
        });
        return element("li", {}, button);
      }),
    );
  }

  store.subscribe(show);
  page.store.subscribe(show);
  return part;
}

function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
