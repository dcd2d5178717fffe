/**
 * A parameter as the form and the panel show it, from its JSON Schema (2020-12 with the `x-` members).
 *
 * @typedef {{name: string, title: string, description: string, kind: Kind, effect: "live" | "restart" | "reset", required: boolean,
 *   unit: string, group: string, order: number, minimum?: number, maximum?: number, step: number | "any", options: any[],
 *   integer: boolean, default: any, max_length?: number, pattern?: string, nullable: boolean, items: object}} Field
 * @typedef {"slider" | "number" | "switch" | "radio" | "select" | "checks" | "list" | "table" | "duration" | "text"} Kind
 */

/** With more steps than this a slider cannot be set to what is meant: such a number is typed, unless the author asks otherwise. */
const MAX_SLIDER_STEPS = 1000;

/** @param {object} schema a function's `parameters` @returns {Field[]} in the order in which to show them */
export function fieldsOf(schema) {
  const required = new Set(schema.required ?? []);
  return Object.entries(schema.properties ?? {})
    .map(([name, property], index) => field(name, property, required.has(name), index))
    .sort((a, b) => a.order - b.order);
}

/** @param {Field[]} fields @returns {{group: string, fields: Field[]}[]} in the order of each group's first field */
export function groupsOf(fields) {
  const groups = new Map();
  for (const each of fields) groups.set(each.group, [...(groups.get(each.group) ?? []), each]);
  return [...groups].map(([group, members]) => ({ group, fields: members }));
}

function field(name, property, required, index) {
  const { property: plain, nullable } = withoutNull(property);
  const both = { ...plain, ...property };
  const integer = plain.type === "integer";
  return {
    name,
    title: both.title || words(name),
    description: both.description ?? "",
    kind: kindOf(plain, property["x-widget"]),
    effect: both["x-effect"] ?? (both["x-live"] === true ? "live" : "restart"),
    required,
    nullable,
    unit: both["x-unit"] ?? "",
    group: both["x-group"] ?? "",
    order: both["x-order"] ?? index,
    minimum: plain.minimum ?? plain.exclusiveMinimum,
    maximum: plain.maximum ?? plain.exclusiveMaximum,
    step: both["x-step"] ?? plain.multipleOf ?? (integer ? 1 : "any"),
    options: plain.enum ?? plain.items?.enum ?? [],
    items: plain.items ?? {},
    integer,
    default: both.default,
    max_length: plain.maxLength,
    pattern: plain.pattern,
  };
}

/** An optional parameter is one that may be null: what else it may be decides about its control. */
function withoutNull(property) {
  const variants = property.anyOf ?? property.oneOf;
  if (variants) {
    const others = variants.filter((variant) => variant.type !== "null");
    return { property: others[0] ?? {}, nullable: others.length < variants.length };
  }
  if (!Array.isArray(property.type)) return { property, nullable: false };
  const types = property.type.filter((type) => type !== "null");
  return { property: { ...property, type: types[0] }, nullable: types.length < property.type.length };
}

function kindOf(property, widget) {
  const natural = naturalKind(property);
  // A widget that the author asks for is taken where it can hold the value, else what is natural.
  const bounded = property.minimum !== undefined && property.maximum !== undefined;
  const numbers = bounded ? ["slider", "number"] : ["number"];
  const allowed = { slider: numbers, number: numbers, radio: ["radio", "select"], select: ["radio", "select"] };
  return allowed[natural]?.includes(widget) ? widget : natural;
}

function stepOf({ type, multipleOf, "x-step": step }) {
  return step ?? multipleOf ?? (type === "integer" ? 1 : Infinity);
}

function naturalKind(property) {
  const { type, enum: options, format } = property;
  if (options) return options.length <= 3 ? "radio" : "select";
  if (type === "boolean") return "switch";
  if (type === "array" && property.items?.type === "object") return "table";
  if (type === "array") return property.items?.enum ? "checks" : "list";
  if (type === "number" || type === "integer") {
    return property.maximum - property.minimum <= MAX_SLIDER_STEPS * stepOf(property) ? "slider" : "number";
  }
  return format === "duration" ? "duration" : "text";
}

/** `stop_words` -> `Stop words`, `$max_rows` -> `Max rows` */
function words(name) {
  const text = name.replace(/^\$/, "").replaceAll("_", " ");
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/**
 * Which field each fault of a refused command belongs to: `$.parameters.metrics[2]` is `metrics`.
 *
 * @param {{path?: string, detail: string}[]} faults @param {string[]} names
 * @returns {{by_field: Record<string, string>, others: string[]}} others belong to no field that is shown
 */
export function faultsByField(faults, names) {
  const by_field = {};
  const others = [];
  for (const { path = "$", detail } of faults) {
    const steps = path
      .split(/[.[\]]+/)
      .filter((step) => step && step !== "$" && step !== "parameters" && step !== "values");
    if (names.includes(steps[0])) by_field[steps[0]] = by_field[steps[0]] ? `${by_field[steps[0]]}; ${detail}` : detail;
    else others.push(steps.length ? `${steps.join(".")}: ${detail}` : detail);
  }
  return { by_field, others };
}
