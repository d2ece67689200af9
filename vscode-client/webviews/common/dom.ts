// Elements made in one expression. Styles are set through the DOM, never as an attribute, which the page's CSP forbids.

type Child = Node | string | null;
type Attributes = Record<string, string | number | boolean | null | undefined>;

export function element<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Attributes = {},
  ...children: Child[]
): HTMLElementTagNameMap[K] {
  const made = document.createElement(tag);
  setAttributes(made, attributes);
  made.append(...children.filter((child) => child !== null));
  return made;
}

/** False, null and undefined take an attribute away. */
export function setAttributes(target: Element, attributes: Attributes): void {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === false || value === null || value === undefined) {
      target.removeAttribute(name);
    } else {
      target.setAttribute(name, value === true ? "" : String(value));
    }
  }
}

const SVG = "http://www.w3.org/2000/svg";

/** A picture of 16 by 16 in the text's colour, out of path data. */
export function icon(path: string): SVGSVGElement {
  const svg = document.createElementNS(SVG, "svg");
  setAttributes(svg, { viewBox: "0 0 16 16", width: 16, height: 16, "aria-hidden": "true", class: "icon" });
  const shape = document.createElementNS(SVG, "path");
  setAttributes(shape, { d: path, fill: "currentColor" });
  svg.append(shape);
  return svg;
}

export const ICONS = {
  play: "M4 2.5v11l9-5.5z",
  pause: "M4 2.5h3v11H4zm5 0h3v11H9z",
  plus: "M7.25 3h1.5v4.25H13v1.5H8.75V13h-1.5V8.75H3v-1.5h4.25z",
  minus: "M3 7.25h10v1.5H3z",
  save: "M7.3 1.5h1.4v6.2l2-2 1 1L8 10.4 4.3 6.7l1-1 2 2zM2.5 10h1.4v2.6h8.2V10h1.4v4h-11z",
  close: "M8 7.05 11.9 3.1l1 1L8.95 8l3.95 3.9-1 1L8 8.95 4.1 12.9l-1-1L7.05 8 3.1 4.1l1-1z",
  pin: "M9.5 1.5 14.5 6.5l-1 1-.6-.6-2.6 2.6.2 2.6-1 1-2.8-2.8L3 14l-1-1 3.7-3.7-2.8-2.8 1-1 2.6.2 2.6-2.6-.6-.6z",
  off: "M8 2a6 6 0 1 0 0 12A6 6 0 0 0 8 2zm0 1.4c1 0 2 .4 2.8 1L4.4 10.8A4.6 4.6 0 0 1 8 3.4zm0 9.2c-1 0-2-.4-2.8-1l6.4-6.4A4.6 4.6 0 0 1 8 12.6z",
  fit: "M2.5 2.5h4V4H4v2.5H2.5zm7 0h4v4H12V4H9.5zM4 9.5V12h2.5v1.5h-4v-4zm9.5 0v4h-4V12H12V9.5z",
};

export function iconButton(label: string, path: string, pressed: () => void): HTMLButtonElement {
  const button = element(
    "button",
    { type: "button", class: "icon-button", title: label, "aria-label": label },
    icon(path),
  );
  button.addEventListener("click", pressed);
  return button;
}
