/**
 * How many publications the gateway may still send. A `credit` of 1 or more is a window, which is kept filled: when half of
 * it has been dealt with, that is granted again. With 0, what is wanted is asked for with `add`. Without one there is no limit.
 */
export class Demand {
  #grant;
  #window = 0;
  /** What has been dealt with and is not granted again yet. */
  #handled = 0;
  /** What was asked for while there was nobody to ask. */
  #owed = 0;
  #times_set = 0;
  /** Whether grants can be sent: the gateway knows of the subscription, and no other credit is on its way. */
  open = false;
  /** What the gateway may still send, as far as we know; null: any number. @type {number | null} */
  credit = null;

  /** @param {(n: number) => void} grant sends a `request` */
  constructor(grant) {
    this.#grant = grant;
  }

  /** Have another `credit` from now on; what came before does not count against it. @param {number | null | undefined} credit */
  set(credit) {
    this.credit = credit ?? null;
    this.#window = credit ?? 0;
    this.#handled = this.#owed = 0;
    this.#times_set += 1;
  }

  /** What to ask for on a new connection: as much as was left, and what was dealt with since. @returns {number | undefined} */
  restate() {
    if (this.credit === null) return undefined;
    this.credit += this.#handled;
    this.#handled = this.#owed = 0;
    return this.credit;
  }

  /** The gateway has it as it was stated: go on from there. */
  confirm() {
    this.open = true;
    const owed = this.#owed;
    this.#owed = 0;
    if (owed) this.#grant(owed);
    this.#refill();
  }

  /** @param {number} n publications that may come, too */
  add(n) {
    if (this.credit === null) return;
    this.credit += n;
    if (this.open) this.#grant(n);
    else this.#owed += n;
  }

  /** A publication has come. @returns {() => void} to be called when it has been dealt with */
  arrived() {
    if (this.credit === null) return () => {};
    this.credit -= 1;
    const time = this.#times_set;
    return () => {
      if (time !== this.#times_set || !this.#window) return;
      this.#handled += 1;
      this.#refill();
    };
  }

  #refill() {
    if (!this.open || !this.#handled || 2 * this.#handled < this.#window) return;
    const n = this.#handled;
    this.#handled = 0;
    this.add(n);
  }
}
