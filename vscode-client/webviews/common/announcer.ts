// What is said to those who do not see the page.

const QUIET = 150; // milliseconds without news before it is said, so that held keys do not stammer

/** `live`: the region that screen readers read from. */
export function announcer(live: HTMLElement): (text: string) => void {
  let timer: ReturnType<typeof setTimeout> | undefined;
  return (text) => {
    clearTimeout(timer);
    timer = setTimeout(() => {
      live.textContent = text;
    }, QUIET);
  };
}
