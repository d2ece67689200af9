// Whether a value is one that a setting may have, by the part of JSON Schema that package.json uses for ours.

export interface SettingSchema {
  type?: string;
  enum?: readonly unknown[];
  minimum?: number;
  items?: SettingSchema;
  uniqueItems?: boolean;
  anyOf?: readonly SettingSchema[];
}

const TYPES: Record<string, (value: unknown) => boolean> = {
  string: (value) => typeof value === "string",
  boolean: (value) => typeof value === "boolean",
  number: (value) => typeof value === "number" && Number.isFinite(value),
  integer: (value) => Number.isInteger(value),
  array: (value) => Array.isArray(value),
};

/** What is wrong with a value, after "it must "; undefined: nothing. */
export function faultOf(value: unknown, schema: SettingSchema): string | undefined {
  const { type, minimum, items, anyOf } = schema;
  if (anyOf !== undefined) {
    const faults = anyOf.map((each) => faultOf(value, each));
    return faults.includes(undefined) ? undefined : faults.join(", or ");
  }
  if (schema.enum?.includes(value) === false) {
    return `be one of ${schema.enum.join(", ")}`;
  }
  if (type !== undefined && TYPES[type]?.(value) === false) {
    return `be ${/^[aeiou]/.test(type) ? "an" : "a"} ${type}`;
  }
  if (minimum !== undefined && typeof value === "number" && value < minimum) {
    return `be at least ${minimum}`;
  }
  if (Array.isArray(value)) {
    const faults = items === undefined ? [] : value.map((item: unknown) => faultOf(item, items));
    const fault = faults.find((each) => each !== undefined);
    if (fault !== undefined) {
      return `have entries that are right: each must ${fault}`;
    }
    return schema.uniqueItems === true && new Set(value).size < value.length ? "have no entry twice" : undefined;
  }
  return undefined;
}

/** What package.json has a pattern for, which says no more than this. */
export function deviceFault(value: unknown): string | undefined {
  const isDevice = typeof value !== "string" || /^(?:(?:cpu|mps|cuda(?::\d{1,4})?)?)$/.test(value.trim());
  return isDevice ? undefined : "be cpu, mps, cuda, cuda:0, ...";
}
