/** @typedef {import("../generated/protocol.js").Publication} Publication @typedef {import("../generated/protocol.js").Gap} Gap */

/**
 * What has come of a stream, and whether it lies end to end: every offset in exactly one publication or gap, in order.
 */
export class Account {
  #on_violation;

  /** @param {(violation: {expected: {epoch: string, offset: number} | undefined, frame: Publication | Gap | import("../generated/protocol.js").SubscriptionMoved}) => void} on_violation */
  constructor(on_violation) {
    this.#on_violation = on_violation;
    /** @type {{epoch: string, offset: number} | undefined} the last publication or gap taken into account */
    this.position = undefined;
    this.counts = {
      publications: 0,
      rows: 0,
      merged: 0, // offsets that came inside a later publication
      gaps: 0,
      missing: 0, // offsets that will never come, and how many of these because we were too slow for the policy
      overflowed: 0,
      epochs: 0,
      repeats: 0,
      violations: 0,
    };
  }

  /** Whether that place has been passed already. */
  includes({ epoch, offset }) {
    return epoch === this.position?.epoch && offset <= this.position.offset;
  }

  /** @param {Publication & {table?: any}} frame @returns {boolean} whether it is new: a repeat is not to be handed on */
  publication(frame) {
    const { epoch, offset } = frame;
    const first = frame.from ?? offset;
    if (this.includes(frame)) {
      this.counts.repeats += 1;
      this.#violation(frame);
      return false;
    }
    this.#check(epoch, first, frame);
    this.position = { epoch, offset };
    this.counts.publications += 1;
    this.counts.rows += rowCount(frame);
    this.counts.merged += offset - first;
    return true;
  }

  /** @param {Gap} frame @returns {boolean} whether there is anything to tell */
  gap(frame) {
    const { epoch, from, to, reason } = frame;
    if (reason !== "epoch") this.#check(epoch, from, frame);
    const missing = Math.max(0, to - from + 1);
    const begins = !this.position?.epoch && missing === 0;
    this.position = { epoch, offset: to };
    if (begins) return false; // the stream's first epoch: nothing was there before that could be missed
    if (reason === "epoch") this.counts.epochs += 1;
    if (missing > 0) this.counts.gaps += 1;
    this.counts.missing += missing;
    if (reason === "overflow") this.counts.overflowed += missing;
    return true;
  }

  /** It is another stream's from now on, after a place that the gap before has told of. */
  move({ epoch, offset }, frame) {
    if (epoch !== this.position?.epoch || offset !== this.position.offset) this.#violation(frame);
    this.position = { epoch, offset };
  }

  #check(epoch, first, frame) {
    if (epoch !== this.position?.epoch || first !== this.position.offset + 1) this.#violation(frame);
  }

  #violation(frame) {
    this.counts.violations += 1;
    const expected = this.position && { ...this.position, offset: this.position.offset + 1 };
    this.#on_violation({ expected, frame });
  }
}

/** @param {Publication & {table?: any}} frame @returns {number} how many rows it carries, in whatever form */
export function rowCount(frame) {
  if (frame.table) return frame.table.numRows;
  return (frame.rows ?? Object.values(frame.columns ?? {})[0])?.length ?? 0;
}
