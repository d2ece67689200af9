// The title of a comparing page: both prompts in short, so that what differs is seen.

const LENGTH = 26;
const ELLIPSIS = "…";
const FEWEST = 3; // shared words at the beginning that are worth leaving out

/** "The symbol of gold is" and "The symbol of silver is": …gold is ↔ …silver is. */
export function comparedTitle(one: string, other: string): string {
  const [a, b] = [words(one), words(other)];
  let shared = 0;
  while (shared < Math.min(a.length, b.length) - 1 && a[shared] === b[shared]) {
    shared++;
  }
  const alike = a.join(" ") === b.join(" ");
  const fits = Math.max(a.join(" ").length, b.join(" ").length) <= LENGTH;
  const from = alike || fits || shared < FEWEST ? 0 : shared;
  return `${short(a, from)} ↔ ${short(b, from)}`;
}

function words(text: string): string[] {
  return text.split(/\s+/).filter((word) => word !== "");
}

function short(all: readonly string[], from: number): string {
  const text = (from > 0 ? ELLIPSIS : "") + all.slice(from).join(" ");
  const characters = Array.from(text);
  return characters.length === 0
    ? "(no prompt)"
    : characters.length <= LENGTH
      ? text
      : `${characters.slice(0, LENGTH - 1).join("")}${ELLIPSIS}`;
}
