// The place of each token on a colour map, by what the text is coloured.

import { colourMap, type ColourMap } from "../common/colour_map";
import { scaleOf } from "../attention/attention_state";
import { shareOf } from "../matrix/value_scale";
import { surprisalShare } from "./surprisal";
import type { Theme } from "../common/theme";
import type { TextLooking } from "./text_state";

export interface TextColours {
  map: ColourMap;
  /** 0 to 1; null: no colour. */
  shareAt: (position: number) => number | null;
}

const LEAST = { weight: 0.004, surprisal: 0.01 }; // of the map, under which a colour is not told from none
const SURPRISAL_MAP = "orange"; // another one than attention's, so that nobody takes the one for the other

let known: { theme: Theme; map: ColourMap } | null = null;

/** Made once a theme. */
export function surprisalMap(theme: Theme): ColourMap {
  if (known?.theme !== theme) {
    known = { theme, map: colourMap(SURPRISAL_MAP, theme.ground) };
  }
  return known.map;
}

export function coloursOf(text: TextLooking): TextColours {
  const { page, store, trace } = text.looking;
  const { map, theme } = page.store.state;
  if (text.mode() === "surprisal") {
    const tokens = trace()?.tokens ?? [];
    return {
      map: surprisalMap(theme),
      shareAt: (position) => {
        const bits = tokens[position]?.surprisal ?? null;
        return bits === null ? null : atLeast(surprisalShare(bits), LEAST.surprisal);
      },
    };
  }
  const scale = scaleOf(store.state);
  const weights = text.weights();
  return {
    map,
    shareAt: (position) => {
      const weight = weights?.(position);
      return weight === undefined ? null : atLeast(shareOf(weight, scale), LEAST.weight);
    },
  };
}

function atLeast(share: number, least: number): number | null {
  return share < least ? null : share;
}
