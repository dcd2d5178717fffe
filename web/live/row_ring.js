/** The last `capacity` rows, each with a sequence number that never changes. Memory is bounded. */
export class RowRing {
  #rows;

  /** @param {number} capacity */
  constructor(capacity) {
    this.#rows = new Array(capacity);
    /** The sequence number that the next row gets; as many rows have come so far. */
    this.next = 0;
  }

  /** The oldest sequence number that is still here. */
  get first() {
    return Math.max(0, this.next - this.#rows.length);
  }

  get size() {
    return this.next - this.first;
  }

  /** @param {object} row */
  push(row) {
    this.#rows[this.next++ % this.#rows.length] = row;
  }

  /** @param {number} sequence @returns {any} undefined where the row is gone or not there yet */
  at(sequence) {
    return sequence >= this.first && sequence < this.next ? this.#rows[sequence % this.#rows.length] : undefined;
  }

  clear() {
    this.#rows.fill(undefined);
    this.next = 0;
  }
}
