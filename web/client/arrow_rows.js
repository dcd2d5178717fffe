/** Arrow's numbers for its types (Schema.fbs; a dictionary is a way to store another type). */
const TYPE = Object.freeze({
  DICTIONARY: -1,
  INT: 2,
  FLOAT: 3,
  BINARY: 4,
  TEXT: 5,
  BOOLEAN: 6,
  DECIMAL: 7,
  DATE: 8,
  TIME: 9,
  TIMESTAMP: 10,
  LIST: 12,
  STRUCT: 13,
  FIXED_SIZE_BINARY: 15,
  FIXED_SIZE_LIST: 16,
  MAP: 17,
  DURATION: 18,
  LARGE_BINARY: 19,
  LARGE_TEXT: 20,
  LARGE_LIST: 21,
});
/** Decimal places of a second by Arrow's unit: s, ms, us, ns. */
const PLACES = [0, 3, 6, 9];
const HALF = 0;
/** What a map may have for keys to be an object; other maps are lists of `key` and `value`. */
const NAMES = [TYPE.INT, TYPE.TEXT, TYPE.BOOLEAN, TYPE.DECIMAL, TYPE.DATE, TYPE.LARGE_TEXT];

/**
 * The rows of an Arrow table, with the values that they have in JSON: times as RFC 3339, 64-bit integers and decimals as
 * numbers, bytes in hexadecimal, NaN and infinity as null. Times are exact to the microsecond.
 *
 * @param {any} table @returns {Record<string, any>[]}
 */
export function rowsOf(table) {
  const rows = Array.from({ length: table.numRows }, () => ({}));
  table.schema.fields.forEach(({ name, type }, place) => {
    const column = table.getChildAt(place);
    const plain = reader(type);
    let i = 0;
    for (const value of isArray(type) && column.nullCount === 0 ? column.toArray() : column)
      rows[i++][name] = plain(value);
  });
  return rows;
}

/** Whether its values lie in memory as they are, so that no method need be called for each. */
function isArray({ typeId, precision }) {
  return typeId === TYPE.INT || (typeId === TYPE.FLOAT && precision !== HALF);
}

/** What makes a plain value of one of Arrow's. */
function reader(type) {
  const plain = valueReader(type);
  return (value) => (value === null || value === undefined ? null : plain(value));
}

function valueReader(type) {
  switch (type.typeId) {
    case TYPE.DICTIONARY:
      return reader(type.dictionary);
    case TYPE.INT:
      return Number;
    case TYPE.FLOAT:
      return (value) => (Number.isFinite(value) ? value : null);
    case TYPE.DECIMAL:
      return (words) => Number(`${integer(words)}e${-type.scale}`);
    case TYPE.BINARY:
    case TYPE.LARGE_BINARY:
    case TYPE.FIXED_SIZE_BINARY:
      return hexadecimal;
    case TYPE.DATE:
      return (ms) => new Date(ms).toISOString().slice(0, 10);
    case TYPE.TIMESTAMP:
      return (ms) => timestamp(ms) + (type.timezone ? "Z" : "");
    case TYPE.TIME:
      return (count) => timeOfDay(BigInt(count), PLACES[type.unit]);
    case TYPE.DURATION:
      return (count) => duration(BigInt(count), PLACES[type.unit]);
    case TYPE.LIST:
    case TYPE.LARGE_LIST:
    case TYPE.FIXED_SIZE_LIST: {
      const plain = reader(type.children[0].type);
      return (values) => Array.from(values, plain);
    }
    case TYPE.STRUCT: {
      const fields = type.children.map((field) => [field.name, reader(field.type)]);
      return (row) => Object.fromEntries(fields.map(([name, plain]) => [name, plain(row[name])]));
    }
    case TYPE.MAP: {
      const fields = type.children[0].type.children;
      const [key, value] = fields.map((field) => reader(field.type));
      const plain = (entries) => Array.from(entries, ([k, v]) => [key(k), value(v)]);
      if (NAMES.includes(fields[0].typeId)) return (entries) => Object.fromEntries(plain(entries));
      return (entries) => plain(entries).map(([k, v]) => ({ key: k, value: v }));
    }
    default:
      return (value) => value; // text, booleans, nothing
  }
}

/** @param {Uint32Array} words the lowest first, in two's complement */
function integer(words) {
  const unsigned = words.reduceRight((sum, word) => (sum << 32n) | BigInt(word), 0n);
  return BigInt.asIntN(32 * words.length, unsigned);
}

/** @param {Uint8Array} bytes */
function hexadecimal(bytes) {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** `.123456`, in as many groups of three places as are needed. @param {bigint | number} count @param {number} places */
function fraction(count, places) {
  if (!count) return "";
  const digits = places ? String(count).padStart(places, "0") : "";
  const needed = digits.replace(/(000)+$/, "");
  return needed && `.${needed}`;
}

/** @param {number} ms since 1970, with a fraction down to microseconds */
function timestamp(ms) {
  const us = Math.round(ms * 1000);
  const second = Math.floor(us / 1_000_000);
  return new Date(second * 1000).toISOString().slice(0, -5) + fraction(us - second * 1_000_000, 6);
}

function timeOfDay(count, places) {
  const unit = 10n ** BigInt(places);
  const seconds = Number(count / unit);
  const parts = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60];
  return parts.map((part) => String(part).padStart(2, "0")).join(":") + fraction(count % unit, places);
}

function duration(count, places) {
  const unit = 10n ** BigInt(places);
  const size = count < 0n ? -count : count;
  return `${count < 0n ? "-" : ""}PT${size / unit}${fraction(size % unit, places)}S`;
}
