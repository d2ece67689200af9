// Weights as comma-separated values: each exactly the float32 that the trace has, in the fewest digits.

/** The fewest digits that give the float32 again. */
export function float32Text(value: number): string {
  if (Number.isInteger(value) || !Number.isFinite(value)) {
    return String(value);
  }
  for (let digits = 6; digits < 9; digits++) {
    const text = value.toPrecision(digits);
    if (Math.fround(Number(text)) === value) {
      return String(Number(text));
    }
  }
  return String(Number(value.toPrecision(9)));
}

/** A line a key: position, token, weight. */
export function rowCsv(labels: readonly string[], query: number, values: ArrayLike<number>): string {
  const lines = Array.from({ length: Math.min(query + 1, values.length) }, (_, key) =>
    [String(key), quoted(labels[key] ?? ""), float32Text(values[key] ?? 0)].join(","),
  );
  return `${["position,token,weight", ...lines].join("\n")}\n`;
}

/** The first line of a matrix: the keys. */
export function matrixHeader(labels: readonly string[], positions: number): string {
  const keys = Array.from({ length: positions }, (_, key) => quoted(`${key} ${labels[key] ?? ""}`));
  return ["query", ...keys].join(",");
}

/** A line a query, of rows from `first` on; what a query does not see is 0. */
export function matrixLines(
  labels: readonly string[],
  first: number,
  values: Float32Array,
  positions: number,
): string[] {
  return Array.from({ length: values.length / positions }, (_, row) => {
    const own = Array.from(values.subarray(row * positions, (row + 1) * positions), float32Text);
    return [quoted(`${first + row} ${labels[first + row] ?? ""}`), ...own].join(",");
  });
}

/** In quotes where a reader of CSV needs them. */
export function quoted(text: string): string {
  return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
