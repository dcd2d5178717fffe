/**
 * What a table of an update-mode output shows: the newest row of each key. A complete-mode output replaces them all.
 * The key that was updated longest ago goes when there are more than `capacity`.
 */
export class KeyedRows {
  #rows = new Map();
  #key;
  #capacity;
  #in_order = false;

  /** @param {string[]} key column names @param {number} capacity */
  constructor(key, capacity) {
    this.#key = key;
    this.#capacity = capacity;
  }

  get size() {
    return this.#rows.size;
  }

  /** @param {object[]} rows */
  update(rows) {
    for (const row of rows) {
      const key = keyOf(row, this.#key);
      this.#rows.delete(key); // so that the order of the map is the order of the updates
      this.#rows.set(key, row);
    }
    for (const key of this.#rows.keys()) {
      if (this.#rows.size <= this.#capacity) break;
      this.#rows.delete(key);
    }
  }

  /** @param {object[]} rows */
  replace(rows) {
    this.#in_order = true; // a complete result has an order of its own
    this.#rows.clear();
    rows.slice(0, this.#capacity).forEach((row, index) => this.#rows.set(index, row));
  }

  /** @param {string} [column] @param {1 | -1} [direction] @returns {object[]} by key (a complete result as it came), or by `column` */
  sorted(column, direction = 1) {
    const rows = [...this.#rows.values()];
    if (column) return rows.sort((a, b) => direction * compare(a[column], b[column]));
    return this.#key.length && !this.#in_order
      ? rows.sort((a, b) => compare(keyOf(a, this.#key), keyOf(b, this.#key)))
      : rows;
  }
}

/** @param {object} row @param {string[]} key @returns {string} */
export function keyOf(row, key) {
  return key.map((column) => String(row[column])).join(" · ");
}

/** Numbers by size, everything else as text with numbers in it by size (`cpu2` before `cpu10`); nothing comes last. */
export function compare(a, b) {
  if (a == null || b == null) return (a == null) - (b == null);
  if (typeof a === "number" && typeof b === "number") return a - b;
  return String(a).localeCompare(String(b), "en", { numeric: true });
}
