// Numbers as they are read: three digits, units, names of heads.

/** Three significant digits: 0.824, 0.0340, 3.40e-5, 12.3; a dash where there is none. */
export function threeDigits(value: number | null | undefined): string {
  if (value === null || value === undefined || Number.isNaN(value)) {
    return "–";
  }
  if (value === 0 || !Number.isFinite(value)) {
    return String(value);
  }
  const size = Math.abs(value);
  return size < 0.001 || size >= 1e6 ? value.toExponential(2) : plain(value, size);
}

function plain(value: number, size: number): string {
  return size >= 1000 ? Math.round(value).toLocaleString("en") : value.toPrecision(3);
}

/** A weight inside a cell: `.82`, `1`, nothing where it rounds to 0. */
export function shortWeight(value: number): string {
  const text = value.toFixed(2);
  return text === "0.00" ? "" : text === "1.00" ? "1" : text.replace(/^0/, "");
}

export function percent(value: number | null | undefined): string {
  if (value === null || value === undefined) {
    return "–";
  }
  const share = value * 100;
  return share !== 0 && share < 0.1 ? "<0.1%" : `${share.toFixed(share < 10 ? 1 : 0)}%`;
}

export function headName(layer: number, head: number): string {
  return `L${layer}H${head}`;
}

/** 1 token, 2 tokens. */
export function counted(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? "" : "s"}`;
}

/** 1,310,850 as 1.31 M. */
export function quantity(value: number): string {
  const units: [number, string][] = [
    [1e9, "B"],
    [1e6, "M"],
    [1e3, "k"],
  ];
  const unit = units.find(([size]) => Math.abs(value) >= size);
  return unit === undefined ? String(value) : `${(value / unit[0]).toPrecision(3)} ${unit[1]}`;
}

export function seconds(value: number): string {
  return value < 1 ? `${threeDigits(value * 1000)} ms` : `${threeDigits(value)} s`;
}
