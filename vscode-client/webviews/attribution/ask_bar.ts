// Whose logit is taken apart: the written token's, or that of another, and whose is taken off.

import { element } from "../common/dom";
import { percent } from "../common/number_text";
import { tokenLabel } from "../common/token_text";
import { writtenAfter } from "../why/place";
import type { Attribution } from "./attribution_state";

const [NOBODY, WORD] = ["nobody", "word"]; // other choices are tokens, by number

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
    store.set({ token: token.value === "" ? null : token.value, against: chosen() });
    say();
  });
  choice.addEventListener("change", () => {
    if (choice.value === WORD) {
      other.focus(); // asked once it is typed
      return;
    }
    other.value = "";
    store.set({ against: chosen() });
  });
  other.addEventListener("input", () => {
    choice.value = other.value === "" ? NOBODY : WORD;
  });

  function chosen(): number | string | null {
    if (choice.value === WORD) {
      return other.value === "" ? null : other.value;
    }
    return choice.value === NOBODY ? null : Number(choice.value);
  }

  /** Shows whose logit is taken off, and leaves alone what is being typed. */
  function say(): void {
    said = store.state.against;
    choice.value = typeof said === "string" ? WORD : said === null ? NOBODY : String(said);
    other.value = typeof said === "string" ? said : "";
  }

  let filled: unknown = null;
  let said: number | string | null = null;
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
        element("option", { value: WORD }, "minus a word:"),
      );
      token.value = "";
      say();
    } else if (said !== store.state.against) {
      say();
    }
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
