// What the page lacks, or what has happened to its traces, each with a click that helps.

import { SIDES, type SideName } from "../../src/shared/compare_messages";
import { element } from "../common/dom";
import { counted } from "../common/number_text";
import type { Comparing, CompareState, Shown } from "./compare_state";
import { headCounts } from "./divergence_order";

interface Notice {
  text: string;
  actions: readonly (readonly [string, () => void])[];
}

export function noticesPart(comparing: Comparing): HTMLElement {
  const { store } = comparing;
  const part = element("div", { class: "compare-notices", role: "status" });
  store.subscribe((state, before) => {
    const { shown, changes, failure } = state;
    if (shown !== before.shown || changes !== before.changes || failure !== before.failure) {
      part.replaceChildren(...noticesOf(comparing, state).map(shownNotice));
    }
  });
  return part;
}

function shownNotice({ text, actions }: Notice): HTMLElement {
  const buttons = actions.map(([label, pressed]) => {
    const button = element("button", { type: "button", class: "secondary" }, label);
    button.addEventListener("click", pressed);
    return button;
  });
  return element("div", { class: "compare-notice" }, element("p", {}, text), ...buttons);
}

function noticesOf({ host, retry }: Comparing, state: CompareState): Notice[] {
  const { shown, changes, failure } = state;
  const again = [
    "Compare Again",
    () => {
      host.post({ type: "again" });
    },
  ] as const;
  const choose = (side: SideName) =>
    [
      "Choose Another",
      () => {
        host.post({ type: "choose", side });
      },
    ] as const;
  const notices: Notice[] = SIDES.flatMap((side): Notice[] => {
    const change = changes[side];
    const letter = letterOf(state, side);
    switch (change) {
      case null:
        return [];
      case "deleted":
        return [
          {
            text: `The trace of ${letter} was deleted. What is shown was read before; heads that were not looked at stay empty.`,
            actions: [choose(side)],
          },
        ];
      case "rewritten":
        return [
          {
            text: `The trace of ${letter} was written anew. What is shown is from before; heads that were not looked at stay empty.`,
            actions: [again, choose(side)],
          },
        ];
    }
  });
  if (failure !== null) {
    notices.push({ text: failure, actions: [["Try Again", retry]] });
  }
  return shown === null
    ? notices
    : [
        ...notices,
        ...lacking(shown, (letter) => () => {
          host.post({ type: "capture", side: sideOf(state, letter) });
        }),
      ];
}

function letterOf({ places }: CompareState, side: SideName): "A" | "B" {
  return (side === "one") === (places?.swapped === true) ? "B" : "A";
}

function sideOf({ places }: CompareState, letter: "A" | "B"): SideName {
  return (letter === "A") === (places?.swapped === true) ? "other" : "one";
}

/** What of the heads cannot be compared, and why. */
function lacking({ a, b, common }: Shown, capture: (letter: "A" | "B") => () => void): Notice[] {
  const [countsA, countsB] = [headCounts(a), headCounts(b)];
  const without = (
    [
      ["A", countsA],
      ["B", countsB],
    ] as const
  ).filter(([, counts]) => counts.size === 0);
  if (without.length > 0) {
    const names = without.map(([letter]) => letter).join(" and ");
    return [
      {
        text:
          `${names} ${without.length === 1 ? "was" : "were"} captured without attention: only the texts can be compared. ` +
          "A capture keeps attention unless its sites leave out attention_weights.",
        actions: without.map(([letter]) => [`Capture ${letter}'s Prompt Again`, capture(letter)] as const),
      },
    ];
  }
  if (common.size === 0) {
    const layers = (counts: ReadonlyMap<number, number>): string => [...counts.keys()].join(", ");
    const text = `A has attention of the layers ${layers(countsA)}, B of ${layers(countsB)}: no layer is in both.`;
    return [{ text, actions: [["Capture B's Prompt Again", capture("B")]] }];
  }
  const [shapeA, shapeB] = [shapeOf(countsA), shapeOf(countsB)];
  const text = `A has ${shapeA}, B has ${shapeB}: the heads that both have are compared.`;
  return shapeA === shapeB && common.size === countsA.size ? [] : [{ text, actions: [] }];
}

function shapeOf(counts: ReadonlyMap<number, number>): string {
  const heads = [...new Set(counts.values())].sort((one, other) => one - other);
  return `${counted(counts.size, "layer")} of ${heads.join(" or ")} ${heads.join() === "1" ? "head" : "heads"}`;
}
