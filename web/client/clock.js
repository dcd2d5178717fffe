import { Window } from "./lag.js";

/**
 * How far this machine's clock is ahead of the gateway's, so that a lag can be told between two clocks.
 *
 * The fastest of the recent publications took about half of the fastest round trip; what is left of `arrival - published_at`
 * is the offset. Only streams that are followed from their newest on give samples: a replay is late by nature.
 */
export class ClockOffset {
  #samples_ms = new Window(64);
  /** The fastest recent round trip. */
  round_trip_ms = 0;

  /** @param {number} arrival_ms @param {number} published_ms */
  add(arrival_ms, published_ms) {
    this.#samples_ms.add(arrival_ms - published_ms);
  }

  /** Milliseconds; 0 while nothing is known. */
  get offset_ms() {
    const fastest = this.#samples_ms.min;
    return fastest === undefined ? 0 : fastest - (this.round_trip_ms ?? 0) / 2;
  }
}
