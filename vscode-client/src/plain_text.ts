// Text that stands for itself in Markdown.

/** Within a table's cell. */
export function plain(text: string): string {
  const escaped = text.replace(/[\\`*_{}[\]<>()#+\-.!|~$&]/g, "\\$&");
  return escaped.replace(/\s+/g, (blanks) => (blanks.includes("\n") ? " " : blanks));
}

/** A token with its white space made visible, as code within a table's cell. */
export function tokenCode(text: string): string {
  const visible = text.replace(/ /g, "·").replace(/\n/g, "↵").replace(/\r/g, "␍").replace(/\t/g, "⇥");
  const escaped = visible.replace(/[&<>"|`\\*_[\]]/g, (character) => `&#${character.charCodeAt(0)};`);
  return `<code>${escaped}</code>`;
}
