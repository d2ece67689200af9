// The pairs in sections: long runs of equal tokens fold, with a few left at both ends as context.

/** Places [first, stop) on the axis of pairs. */
export interface Section {
  kind: "shown" | "fold";
  first: number;
  stop: number;
}

export const CONTEXT = 6;
/** A fold that hides fewer is not worth its click. */
export const FEWEST = 12;

/** `same`: by place, whether both tokens are the same. */
export function sectionsOf(same: readonly boolean[]): Section[] {
  const sections: Section[] = [];
  let shownFrom = 0;
  let place = 0;
  const show = (until: number): void => {
    if (until > shownFrom) {
      sections.push({ kind: "shown", first: shownFrom, stop: until });
    }
  };
  while (place < same.length) {
    let stop = place;
    while (stop < same.length && same[stop] === true) {
      stop++;
    }
    const first = place + CONTEXT;
    const last = stop - CONTEXT;
    if (last - first >= FEWEST) {
      show(first);
      sections.push({ kind: "fold", first, stop: last });
      shownFrom = last;
    }
    place = stop + 1;
  }
  show(same.length);
  return sections;
}
