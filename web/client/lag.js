/** The last `capacity` numbers, and quantiles over them. Memory is fixed. */
export class Window {
  #values;
  #count = 0;

  /** @param {number} [capacity] */
  constructor(capacity = 128) {
    this.#values = new Float64Array(capacity);
  }

  /** @param {number} value */
  add(value) {
    this.#values[this.#count++ % this.#values.length] = value;
  }

  get size() {
    return Math.min(this.#count, this.#values.length);
  }

  /** The smallest number, or undefined where there is none. */
  get min() {
    return this.quantile(0);
  }

  /**
   * @param {number} q from 0 to 1; nearest rank
   * @returns {number | undefined}
   */
  quantile(q) {
    if (this.size === 0) return undefined;
    const sorted = this.#values.slice(0, this.size).sort();
    return sorted[Math.min(this.size - 1, Math.max(0, Math.ceil(q * this.size) - 1))];
  }
}
