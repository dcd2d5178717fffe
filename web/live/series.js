import { keyOf } from "./keyed_rows.js";

/**
 * What the charts of one output are drawn from: one row of time, and for each numeric column and key a row of values,
 * aligned with it. Typed arrays of fixed size; when they are full, the older half makes room.
 *
 * `NaN` stands for "no value at that time".
 */
export class Series {
  #capacity;
  #max_lines;
  #size = 0;
  #x;
  /** @type {Map<string, {key: string, unit: string, columns: Map<string, Float64Array>, touched: number}>} */
  #lines = new Map();
  #touches = 0;

  /**
   * @param {{key: string[], time: string | null, capacity?: number, max_lines?: number}} options
   *   `time` is the column with the time of a row; without one, it is the time of publication
   */
  constructor({ key, time, capacity = 1200, max_lines = 24 }) {
    this.key = key;
    this.time = time;
    this.#capacity = capacity;
    this.#max_lines = max_lines;
    this.#x = new Float64Array(2 * capacity);
    /** Numeric columns in the order in which they were seen. @type {string[]} */
    this.columns = [];
    /** Where each micro-batch lies: ascending, bounded. @type {{batch: number, x: number, revision: number}[]} */
    this.batches = [];
    /** @type {{from_x: number, to_x: number, missing: number, reason: string}[]} */
    this.gaps = [];
    /** Changes of the set of columns or lines; a chart is made anew when it has changed. */
    this.shape = 0;
    /** Keys that had to give way, because there are more than `max_lines`. */
    this.evicted = 0;
  }

  get #start() {
    return Math.max(0, this.#size - this.#capacity);
  }

  get size() {
    return this.#size - this.#start;
  }

  get lines() {
    return [...this.#lines.values()];
  }

  get last_x() {
    return this.#size ? this.#x[this.#size - 1] : undefined;
  }

  get first_x() {
    return this.#size ? this.#x[this.#start] : undefined;
  }

  /** @param {{rows?: object[], batch: number, revision: number, published_at: string}} publication */
  add({ rows = [], batch, revision, published_at }) {
    const published_x = Date.parse(published_at) / 1000;
    let newest = -Infinity;
    for (const row of rows) {
      const x = this.time ? Date.parse(row[this.time]) / 1000 : published_x;
      if (Number.isNaN(x)) continue; // a row without a time has no place on a time axis; the table shows it
      newest = Math.max(newest, x);
      this.#put(row, x);
    }
    const at = newest === -Infinity ? (this.last_x ?? published_x) : newest;
    if (this.batches.at(-1)?.batch !== batch) this.batches.push({ batch, x: at, revision });
    if (this.batches.length > 2 * this.#capacity) this.batches.splice(0, this.#capacity);
    const open = this.gaps.at(-1);
    if (open && Number.isNaN(open.to_x) && newest !== -Infinity) open.to_x = Math.max(newest, open.from_x);
  }

  /** Offsets that will never come: a band from the last point before to the first one after. */
  addGap({ from, to, reason }) {
    const missing = Math.max(0, to - from + 1);
    const open = this.gaps.at(-1);
    if (open && Number.isNaN(open.to_x)) open.missing += missing;
    else this.gaps.push({ from_x: this.last_x ?? NaN, to_x: NaN, missing, reason });
    if (this.gaps.length > 50) this.gaps.shift();
  }

  /** Where the first micro-batch from `batch` on lies, or undefined while it has not come, or when it is forgotten. */
  xOfBatch(batch) {
    const { batches } = this;
    if (!batches.length || batch < batches[0].batch) return undefined;
    return batches.find((entry) => entry.batch >= batch)?.x;
  }

  /**
   * @param {string} column @param {{key: string}[]} lines @param {number} [from_x] leave out what is older
   * @returns {[number[], ...(number | null)[][]]} as uPlot takes it
   */
  view(column, lines, from_x = -Infinity) {
    let start = this.#start;
    // One point before the window stays, so that a line enters from the edge.
    if (from_x > -Infinity) start = Math.max(start, this.#search(from_x) - 1);
    const x = Array.from(this.#x.subarray(start, this.#size));
    return [x, ...lines.map(({ key }) => this.#values(key, column, start, x.length))];
  }

  /** The last value of a line that is one, or undefined. */
  last(key, column) {
    const values = this.#lines.get(key)?.columns.get(column);
    for (let i = this.#size - 1; values && i >= this.#start; i--) if (!Number.isNaN(values[i])) return values[i];
    return undefined;
  }

  /** @returns {{low?: number, mean?: number, high?: number}} over all that is kept */
  summary(key, column) {
    const values = this.#lines.get(key)?.columns.get(column);
    const kept = values
      ? Array.from(values.subarray(this.#start, this.#size)).filter((value) => !Number.isNaN(value))
      : [];
    if (!kept.length) return {};
    return {
      low: Math.min(...kept),
      mean: kept.reduce((sum, value) => sum + value, 0) / kept.length,
      high: Math.max(...kept),
    };
  }

  /** How far from zero the line ever was. */
  peak(key, column) {
    const { low = 0, high = 0 } = this.summary(key, column);
    return Math.max(Math.abs(low), Math.abs(high));
  }

  #values(key, column, start, length) {
    const values = this.#lines.get(key)?.columns.get(column);
    const out = new Array(length).fill(null);
    if (values) for (let i = 0; i < length; i++) if (!Number.isNaN(values[start + i])) out[i] = values[start + i];
    return out;
  }

  #put(row, x) {
    const slot = this.#slot(x);
    if (slot < 0) return;
    const key = keyOf(
      row,
      this.key.filter((column) => column in row),
    );
    const line = this.#lines.get(key) ?? this.#newLine(key, row);
    line.touched = this.#touches++;
    for (const [column, value] of Object.entries(row)) {
      if (typeof value !== "number" || this.key.includes(column) || column === this.time) continue;
      let values = line.columns.get(column);
      if (!values) {
        values = new Float64Array(2 * this.#capacity).fill(NaN);
        line.columns.set(column, values);
        if (!this.columns.includes(column)) this.columns.push(column);
        this.shape += 1;
      }
      values[slot] = value;
    }
  }

  #newLine(key, row) {
    if (this.#lines.size >= this.#max_lines) {
      const oldest = this.lines.reduce((a, b) => (a.touched <= b.touched ? a : b));
      this.#lines.delete(oldest.key);
      this.evicted += 1;
    }
    const line = { key, unit: typeof row.unit === "string" ? row.unit : "", columns: new Map(), touched: 0 };
    this.#lines.set(key, line);
    this.shape += 1;
    return line;
  }

  /** The place for time `x`; -1 where that is older than all that is kept. */
  #slot(x) {
    if (this.#size === 0 || x > this.#x[this.#size - 1]) return this.#open(this.#size, x);
    const at = this.#search(x);
    if (this.#x[at] === x) return at;
    return at <= this.#start && this.#size >= this.#capacity ? -1 : this.#open(at, x);
  }

  /** The first place whose time is not before `x`. */
  #search(x) {
    let low = this.#start;
    let high = this.#size;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#x[middle] < x) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** Make place at `at` for time `x`, and return where that is now. */
  #open(at, x) {
    const arrays = [this.#x, ...this.lines.flatMap((line) => [...line.columns.values()])];
    if (this.#size === 2 * this.#capacity) {
      for (const values of arrays) values.copyWithin(0, this.#capacity);
      this.#size -= this.#capacity;
      at -= this.#capacity;
    }
    for (const values of arrays) {
      values.copyWithin(at + 1, at, this.#size);
      values[at] = NaN;
    }
    this.#x[at] = x;
    this.#size += 1;
    return at;
  }
}
