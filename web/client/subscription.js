import { Emitter } from "./emitter.js";
import { RivuletError } from "./errors.js";
import { Window } from "./lag.js";
import { ERROR_CODES } from "../generated/protocol.js";

/** Where a subscription stands. */
export const SubscriptionState = Object.freeze({
  PENDING: "pending", // asked for, not yet confirmed on this connection
  LIVE: "live",
  ENDED: "ended",
});

/**
 * One stream, as long as anybody wants it: it outlives connections, and each time asks for what followed its position.
 *
 * Events: `subscribed` (the reply), `publication`, `gap`, `violation` ({expected, frame}: the ranges did not lie end to end),
 * `state` (a SubscriptionState), `ended` ({reason, error?}).
 */
export class Subscription extends Emitter {
  #command;
  #retry_in_ms;
  #clock;
  #asked_at_ms = 0;
  #timer;

  /**
   * @param {{sub: number, stream: string, options: object, command: (frame: object) => Promise<any>,
   *   retry_in_ms: (attempt: number) => number, clock: import("./clock.js").ClockOffset}} parts made by `Connection.subscribe`
   */
  constructor({ sub, stream, options, command, retry_in_ms, clock }) {
    super();
    this.sub = sub;
    this.stream = stream;
    this.options = options;
    /** @type {(typeof SubscriptionState)[keyof typeof SubscriptionState]} */
    this.state = SubscriptionState.PENDING;
    /** @type {{epoch: string, offset: number} | undefined} the last publication or gap taken into account */
    this.position = undefined;
    /** @type {{name: string, type: string}[] | undefined} */
    this.schema = undefined;
    /** Milliseconds from `published_at` to arrival, corrected for the clocks; without what was published before we asked. */
    this.lag_ms = new Window();
    this.counts = {
      publications: 0,
      rows: 0,
      gaps: 0,
      missing: 0,
      overflowed: 0,
      epochs: 0,
      repeats: 0,
      violations: 0,
    };
    this.#command = command;
    this.#retry_in_ms = retry_in_ms;
    this.#clock = clock;
  }

  /** Ask for the stream on the connection that is live now. */
  async open(attempt = 0) {
    const since = this.position ?? this.options.since;
    this.#asked_at_ms = Date.now();
    try {
      const reply = await this.#command({
        ...this.options,
        type: "subscribe",
        sub: this.sub,
        stream: this.stream,
        since,
      });
      if (this.state === SubscriptionState.ENDED) return;
      this.schema = reply.schema ?? this.schema;
      this.emit("subscribed", reply);
    } catch (error) {
      if (this.state === SubscriptionState.ENDED) return;
      if (!(error instanceof RivuletError)) return; // the connection went: it asks again when it is back
      if (ERROR_CODES[error.code]?.retry)
        this.#timer = setTimeout(() => this.open(attempt + 1), this.#retry_in_ms(attempt));
      else this.end(error.detail, error);
    }
  }

  /** The connection is gone; the position stays. */
  interrupt() {
    clearTimeout(this.#timer);
    if (this.state !== SubscriptionState.ENDED) this.#enter(SubscriptionState.PENDING);
  }

  /** @param {string} reason @param {Error} [error] */
  end(reason, error) {
    if (this.state === SubscriptionState.ENDED) return;
    clearTimeout(this.#timer);
    this.#enter(SubscriptionState.ENDED);
    this.emit("ended", { reason, error });
  }

  /** A frame for this subscription, in the order of the wire. The reply comes this way too, before what follows it. */
  take(frame) {
    if (this.state === SubscriptionState.ENDED) return;
    if (frame.type === "publication") this.#publication(frame);
    else if (frame.type === "gap") this.#gap(frame);
    else if (frame.type === "subscribed") this.#subscribed(frame);
    else if (frame.type === "subscription_ended") this.end(frame.reason);
  }

  #enter(state) {
    if (state === this.state) return;
    this.state = state;
    this.emit("state", state);
  }

  /** @param {import("../generated/protocol.js").Subscribed} reply */
  #subscribed({ epoch, offset }) {
    // A position of ours that the gateway did not take up is answered by a gap, which `#gap` takes into account.
    this.position = { epoch, offset };
    this.#enter(SubscriptionState.LIVE);
  }

  /** @param {import("../generated/protocol.js").Publication} frame */
  #publication(frame) {
    const first = frame.from ?? frame.offset;
    if (this.#isRepeat(frame.epoch, frame.offset)) {
      this.counts.repeats += 1;
      this.#violation(frame);
      return;
    }
    if (frame.epoch !== this.position?.epoch || first !== this.position.offset + 1) this.#violation(frame);
    this.position = { epoch: frame.epoch, offset: frame.offset };
    this.counts.publications += 1;
    this.counts.rows += frame.rows?.length ?? 0;
    this.#measure(Date.now(), Date.parse(frame.published_at));
    this.emit("publication", frame);
  }

  #measure(arrival_ms, published_ms) {
    if (this.options.since === "latest") this.#clock.add(arrival_ms, published_ms);
    if (published_ms + this.#clock.offset_ms >= this.#asked_at_ms) {
      this.lag_ms.add(Math.max(0, arrival_ms - published_ms - this.#clock.offset_ms));
    }
  }

  /** @param {import("../generated/protocol.js").Gap} frame */
  #gap(frame) {
    if (frame.reason !== "epoch" && (frame.epoch !== this.position?.epoch || frame.from !== this.position.offset + 1)) {
      this.#violation(frame);
    }
    const missing = Math.max(0, frame.to - frame.from + 1);
    const begins = !this.position?.epoch && missing === 0;
    this.position = { epoch: frame.epoch, offset: frame.to };
    if (begins) return; // the stream's first epoch: nothing was there before that could be missed
    if (frame.reason === "epoch") this.counts.epochs += 1;
    if (missing > 0) this.counts.gaps += 1;
    this.counts.missing += missing;
    if (frame.reason === "overflow") this.counts.overflowed += missing;
    this.emit("gap", frame);
  }

  #isRepeat(epoch, offset) {
    return epoch === this.position?.epoch && offset <= this.position.offset;
  }

  #violation(frame) {
    this.counts.violations += 1;
    this.emit("violation", {
      expected: this.position && { ...this.position, offset: this.position.offset + 1 },
      frame,
    });
  }
}
