// What a tab of the page is given beside the page itself.

import type { PagePart } from "../../src/shared/messages";

export interface Tab {
  /** Brings a tab of the page to the front, this one or another. */
  open: (part: PagePart) => void;
  /** Called when the tab is left. */
  onLeave: (listener: () => void) => void;
}
