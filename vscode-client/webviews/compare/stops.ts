// Where keys lead among elements that flow in lines: to the next, to the ends, to the one above or below.

/** The next one in order; null for keys that do not lead there. */
export function besideIn<E>(stops: readonly E[], from: E, key: string): E | null {
  const at = stops.indexOf(from);
  const moves: Record<string, number> = { ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: stops.length - 1 };
  const to = moves[key];
  return to === undefined ? null : (stops[Math.max(0, Math.min(stops.length - 1, to))] ?? null);
}

export interface Placed {
  offsetTop: number;
  offsetLeft: number;
}

/** The nearest of the line above or below; itself at the edge, null for other keys. */
export function lineAway<E extends Placed>(stops: readonly E[], from: E, key: string): E | null {
  if (key !== "ArrowUp" && key !== "ArrowDown") {
    return null;
  }
  const down = key === "ArrowDown";
  const { offsetTop: top, offsetLeft: left } = from;
  const beyond = stops.filter((stop) => (down ? stop.offsetTop > top : stop.offsetTop < top));
  const tops = beyond.map((stop) => stop.offsetTop);
  const line = down ? Math.min(...tops) : Math.max(...tops);
  const there = beyond.filter((stop) => stop.offsetTop === line);
  const nearest = (best: E, other: E): E =>
    Math.abs(other.offsetLeft - left) < Math.abs(best.offsetLeft - left) ? other : best;
  return there.length === 0 ? from : there.reduce(nearest);
}
