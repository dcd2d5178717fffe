import { Window } from "../client/lag.js";

/**
 * How far this machine's clock is ahead of the gateway's, so that a lag can be told between two clocks.
 *
 * The fastest of the recent frames took about half of the fastest round trip; what is left of `arrival - published_at` is the
 * offset. The gateway's own stream, which is sent the moment it is published, gives the samples.
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

  /** @param {number | undefined} raw_ms arrival by our clock minus publication by the gateway's */
  correct(raw_ms) {
    return raw_ms === undefined ? undefined : Math.max(0, raw_ms - this.offset_ms);
  }
}
