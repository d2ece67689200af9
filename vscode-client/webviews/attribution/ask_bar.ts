// Whose logit is taken apart: the written token's, or that of another, and whose is taken off.

import { element } from "../common/dom";
import { percent } from "../common/number_text";
import { tokenLabel } from "../common/token_text";
import { writtenAfter } from "../why/place";
import type { Attribution } from "./attribution_state";

const NOBODY = "";

export function askBar(attribution: Attribution): HTMLElement {
  const { page, store } = attribution;
  const token = field("Another token", "Whose logit: a text that is one token; empty: the written one's");
  const choice = element("select", { "aria-label": "Minus the logit of" });
  const other = field("or minus a word", "Minus the logit of a text that is one token");
  const form = element(
    "form",
    { class: "bar attribution-ask" },
    token,
    choice,
    other,
    element("button", { type: "submit", class: "primary" }, "Ask"),
  );
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const against = other.value === "" ? numberIn(choice.value) : other.value;
    store.set({ token: token.value === "" ? null : token.value, against });
  });
  choice.addEventListener("change", () => {
    other.value = "";
    store.set({ against: numberIn(choice.value) });
  });

  let filled: unknown = null;
  function fill(): void {
    const trace = attribution.trace();
    if (trace === null) {
      return;
    }
    const written = writtenAfter(trace, attribution.position());
    if (filled !== written) {
      filled = written;
      const others = (written?.top ?? []).filter((one) => one.token !== written?.id);
      choice.replaceChildren(
        element("option", { value: NOBODY }, "minus nothing"),
        ...others.map((one) =>
          element("option", { value: one.token }, `minus ${tokenLabel(one)} ${percent(one.probability)}`),
        ),
      );
      token.value = other.value = "";
    }
    const { against } = store.state;
    choice.value = typeof against === "number" ? String(against) : NOBODY;
  }

  page.store.subscribe(fill);
  store.subscribe(fill);
  return form;
}

function field(placeholder: string, label: string): HTMLInputElement {
  return element("input", {
    type: "text",
    class: "field",
    placeholder,
    "aria-label": label,
    title: label,
    maxlength: 1000,
  });
}

function numberIn(value: string): number | null {
  return value === NOBODY ? null : Number(value);
}
