// The mouse on the matrix: pointing at cells, keeping rows, dragging, zooming.

import type { AttentionState } from "../attention/attention_state";
import { positionAt, ZOOM_STEP } from "./matrix_layout";

export interface PointerActions {
  zoom: (factor: number, at: { x: number; y: number }) => void;
  /** The size of a cell in CSS pixels. */
  cell: () => number;
  zoomed: () => boolean;
}

interface Drag {
  x: number;
  y: number;
  left: number;
  top: number;
  moved: boolean;
}

const SLACK = 4; // pixels that a click may move

export function onMatrixPointer(target: HTMLElement, looking: AttentionState, actions: PointerActions): void {
  const { page, store } = looking;
  let drag: Drag | null = null;

  function cellUnder(event: MouseEvent): { query: number; key: number } | null {
    const { x, y } = offset(target, event);
    const query = positionAt(y, target.scrollTop, actions.cell(), looking.rows());
    const key = positionAt(x, target.scrollLeft, actions.cell(), looking.trace()?.positions ?? 0);
    return query === null || key === null ? null : { query, key };
  }

  target.addEventListener("pointerdown", (event) => {
    if (event.button === 0 && event.pointerType === "mouse" && actions.zoomed()) {
      const { scrollLeft: left, scrollTop: top } = target;
      drag = { x: event.clientX, y: event.clientY, left, top, moved: false };
    }
  });
  target.addEventListener("pointermove", (event) => {
    if (drag !== null && event.buttons === 1) {
      const [dx, dy] = [event.clientX - drag.x, event.clientY - drag.y];
      drag.moved ||= Math.hypot(dx, dy) > SLACK;
      if (drag.moved) {
        target.scrollTo(drag.left - dx, drag.top - dy);
        return;
      }
    }
    const under = cellUnder(event);
    const { pointed } = store.state;
    if (under?.query !== pointed?.query || under?.key !== pointed?.key) {
      store.set({ pointed: under === null ? null : { ...under, by: "mouse" } });
    }
  });
  target.addEventListener("pointerleave", () => {
    drag = null;
    if (store.state.pointed?.by === "mouse") {
      store.set({ pointed: null });
    }
  });
  target.addEventListener("click", (event) => {
    const under = cellUnder(event);
    if (under !== null && drag?.moved !== true) {
      page.select({ token: under.query === page.store.state.selection.token ? null : under.query });
    }
    drag = null;
  });
  target.addEventListener(
    "wheel",
    (event) => {
      if (event.ctrlKey || event.metaKey) {
        event.preventDefault();
        actions.zoom(event.deltaY < 0 ? ZOOM_STEP : 1 / ZOOM_STEP, offset(target, event));
      }
    },
    { passive: false },
  );
}

function offset(target: HTMLElement, event: MouseEvent): { x: number; y: number } {
  const box = target.getBoundingClientRect();
  return { x: event.clientX - box.left, y: event.clientY - box.top };
}
