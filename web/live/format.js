/** Numbers, times and durations as people read them. All of it pure. */

const SCALES = [
  [1e12, "T"],
  [1e9, "G"],
  [1e6, "M"],
  [1e3, "k"],
];

/** @param {number | null | undefined} value @returns {string} about three significant digits */
export function number(value) {
  if (value == null || Number.isNaN(value)) return "–";
  const size = Math.abs(value);
  const [scale, letter] = SCALES.find(([each]) => size >= each * (each === 1e3 ? 10 : 1)) ?? [1, ""];
  const scaled = value / scale;
  const digits =
    Number.isInteger(value) && scale === 1 ? 0 : Math.abs(scaled) >= 100 ? 0 : Math.abs(scaled) >= 10 ? 1 : 2;
  const text = scaled.toFixed(digits);
  return (Number(text) === 0 ? text.replace("-", "") : text.replace("-", "−")) + letter;
}

/** A number and its unit: `12.3 MB/s`, `42 %`. */
export function quantity(value, unit = "") {
  const text = number(value);
  if (!unit || text === "–") return text;
  const scaled = /[kMGT]$/.test(text);
  return scaled ? `${text.slice(0, -1)} ${text.slice(-1)}${unit}` : `${text} ${unit}`;
}

/** A quantity at an axis, without zeros that say nothing: `6 MB/s`, `5.5`. */
export function tick(value, unit = "") {
  return quantity(value, unit)
    .replace(/(\.\d*?)0+(?=\D|$)/, "$1")
    .replace(/\.(?=\D|$)/, "");
}

/** @param {number | null | undefined} value_ms */
export function milliseconds(value_ms) {
  if (value_ms == null || Number.isNaN(value_ms)) return "–";
  if (value_ms < 1) return "<1 ms";
  return value_ms < 10_000 ? `${Math.round(value_ms)} ms` : duration(value_ms / 1000);
}

/** @param {number | null | undefined} seconds `95` -> `1 min 35 s` */
export function duration(seconds) {
  if (seconds == null || Number.isNaN(seconds)) return "–";
  const whole = Math.max(0, Math.floor(seconds));
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${String(whole % 60).padStart(2, "0")} s`;
  if (whole < 86_400)
    return `${Math.floor(whole / 3600)} h ${String(Math.floor((whole % 3600) / 60)).padStart(2, "0")} min`;
  return `${Math.floor(whole / 86_400)} d ${Math.floor((whole % 86_400) / 3600)} h`;
}

const ISO_DURATION = /^P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?)?$/;

/** An ISO 8601 duration as it would be typed: `PT1M30S` -> `1 min 30 s`; anything else as it is. */
export function isoDuration(text) {
  const match = ISO_DURATION.exec(text);
  if (!match) return String(text ?? "");
  const total = (match[1] ?? 0) * 86_400 + (match[2] ?? 0) * 3600 + (match[3] ?? 0) * 60 + Number(match[4] ?? 0);
  if (total < 1) return `${Math.round(total * 1000)} ms`;
  for (const [size, unit] of [
    [86_400, "d"],
    [3600, "h"],
    [60, "min"],
  ])
    if (total % size === 0 && total >= size) return `${total / size} ${unit}`;
  return `${Number(total.toFixed(3))} s`;
}

const pad = (value, width = 2) => String(value).padStart(width, "0");

/** @param {string | number | Date} at @returns {string} `18:04:09` in the local zone */
export function time(at) {
  const date = new Date(at);
  return Number.isNaN(date.getTime())
    ? "–"
    : `${pad(date.getHours())}:${pad(date.getMinutes())}:${pad(date.getSeconds())}`;
}

/** @param {string | number | Date} at @returns {string} `18:04:09.120` */
export function timeMs(at) {
  return `${time(at)}.${pad(new Date(at).getMilliseconds(), 3)}`;
}

const ISO_TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:?\d\d)$/;

/** A cell of a table. */
export function cell(value) {
  if (value == null) return "";
  if (typeof value === "number") return Number.isInteger(value) ? String(value) : number(value);
  if (typeof value === "string") return ISO_TIME.test(value) ? timeMs(value) : value;
  return JSON.stringify(value);
}

/** From one value of a parameter to another, in one short line: `3 → 4.2`, `− memory, + swap`. */
export function difference(before, after) {
  if (Array.isArray(before) && Array.isArray(after)) {
    const gone = before.filter((each) => !after.includes(each)).map((each) => `− ${each}`);
    const come = after.filter((each) => !before.includes(each)).map((each) => `+ ${each}`);
    if (gone.length + come.length > 0 && gone.length + come.length < 6) return [...gone, ...come].join(", ");
  }
  return before === undefined ? `→ ${value(after)}` : `${value(before)} → ${value(after)}`;
}

/** The value of a parameter, in one short line. */
export function value(given) {
  if (given === undefined) return "?";
  if (given === null) return "default";
  if (typeof given === "boolean") return given ? "on" : "off";
  if (typeof given === "number") return String(given);
  if (Array.isArray(given))
    return given.length > 4
      ? `${given.slice(0, 3).join(", ")} and ${given.length - 3} more`
      : given.join(", ") || "none";
  return typeof given === "string" ? isoDuration(given) : JSON.stringify(given);
}
