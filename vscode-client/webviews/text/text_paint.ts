// Colours the tokens that can be seen, and the others when they come into sight: a text may have thousands.

import { css } from "../common/colour";
import { colourAt, textAt, STEPS } from "../common/colour_map";
import type { TokenList } from "../common/token_list";
import type { TextColours } from "./text_colours";

export interface TextPaint {
  /** `anew`: the same step may be another colour now, or the spans are others. */
  paint: (colours: TextColours, anew: boolean) => void;
  /** Tokens are others, or hidden, or no longer so. */
  look: () => void;
}

const NO_COLOUR = -1;
const MARGIN = 200; // CSS pixels above and below what is seen that are coloured too

export function textPaint(list: TokenList): TextPaint {
  let colours: TextColours | null = null;
  let painted: number[] = [];
  let [first, stop] = [0, 0];

  function paintSeen(): void {
    if (colours === null) {
      return;
    }
    const { map, shareAt } = colours;
    for (let position = first; position < stop; position++) {
      const span = list.spans[position];
      const share = shareAt(position);
      const step = share === null ? NO_COLOUR : Math.round(share * (STEPS - 1));
      if (span !== undefined && painted[position] !== step) {
        painted[position] = step;
        span.style.backgroundColor = share === null ? "" : css(colourAt(map, share));
        span.style.color = share === null ? "" : css(textAt(map, share));
      }
    }
  }

  function look(): void {
    [first, stop] = seenOf(list);
    paintSeen();
  }

  document.addEventListener("scroll", look, { passive: true, capture: true });
  window.addEventListener("resize", look);
  const sizes = new ResizeObserver(look);
  sizes.observe(list.element);
  sizes.observe(document.body); // what stands above has moved the text
  return {
    look: () => {
      requestAnimationFrame(look); // once all that changes with it has its size
    },
    paint: (now, anew) => {
      colours = now;
      if (anew) {
        painted = [];
      }
      paintSeen();
    },
  };
}

/** The first position in sight and the one after the last: later tokens stand lower. */
function seenOf({ element: { clientHeight }, element, spans }: TokenList): [number, number] {
  if (clientHeight === 0) {
    return [0, 0];
  }
  const box = element.getBoundingClientRect();
  const top = Math.max(box.top, 0) - MARGIN;
  const bottom = Math.min(box.bottom, window.innerHeight) + MARGIN;
  if (top >= bottom) {
    return [0, 0];
  }
  const first = firstWhere(spans, (span) => span.bottom >= top);
  return [first, firstWhere(spans, (span) => span.top > bottom)];
}

/** Of a condition that holds from some token on; those that are hidden count as the next that is not. */
function firstWhere(spans: readonly HTMLElement[], holds: (box: DOMRect) => boolean): number {
  let [low, high] = [0, spans.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    const box = spans.slice(middle, high).find((span) => span.offsetHeight > 0);
    if (box === undefined || holds(box.getBoundingClientRect())) {
      high = middle;
    } else {
      low = middle + 1;
    }
  }
  return low;
}
