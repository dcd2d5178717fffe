import { Account } from "./account.js";
import { Demand } from "./demand.js";
import { Emitter } from "./emitter.js";
import { ConnectionLost, ReplyTimeout, RivuletError } from "./errors.js";
import { Window } from "./lag.js";
import { ERROR_CODES } from "../generated/protocol.js";

/** Where a subscription stands. */
export const SubscriptionState = Object.freeze({
  PENDING: "pending", // asked for, not yet confirmed on this connection
  LIVE: "live",
  ENDED: "ended",
});

/**
 * What is asked for besides the stream. `credit` of 1 or more is a window that is granted again by itself; 0 leaves it to
 * `request`. In `resubscribe`, null brings the default back.
 *
 * @typedef {Omit<import("../generated/protocol.js").Resubscribe, "type" | "id" | "sub">} ChangeableOptions
 * @typedef {ChangeableOptions & {since?: import("../generated/protocol.js").Subscribe["since"]}} SubscribeOptions
 */

/**
 * One stream, as long as anybody wants it: it outlives connections, and each time asks for what followed its position.
 *
 * Events: `subscribed` (the reply, to `resubscribe` too), `publication`, `gap`, `violation` ({expected, frame}: the ranges did
 * not lie end to end), `degraded` ({overflow, reason}: it held its job back for too long, and has that policy now), `moved`
 * ({stream, epoch, offset}: it goes on with the stream of a fork), `state` (a SubscriptionState), `ended` ({reason, error?,
 * last_offset?}).
 *
 * A listener to `publication` that returns a promise has dealt with it when that is settled: so it sets the pace.
 */
export class Subscription extends Emitter {
  #command;
  #retry_in_ms;
  #clock;
  #account = new Account((violation) => this.emit("violation", violation));
  #demand = new Demand((n) => this.#grant(n));
  #asked_at_ms = 0;
  #asking = false;
  /** What is being changed, until the reply. @type {ChangeableOptions | undefined} */
  #change;
  /** Up to here publications were paid for with the credit before. @type {{epoch: string, offset: number} | undefined} */
  #paid_until;
  /** One change at a time. @type {Promise<unknown>} */
  #changed = Promise.resolve();
  #timer;

  /**
   * @param {{sub: number, stream: string, options: SubscribeOptions, command: (frame: any) => Promise<any>,
   *   retry_in_ms: (attempt: number) => number, clock: import("./clock.js").ClockOffset}} parts made by `Connection.subscribe`
   */
  constructor({ sub, stream, options, command, retry_in_ms, clock }) {
    super();
    this.sub = sub;
    this.stream = stream;
    /** What is asked for, with what was changed since. */
    this.options = options;
    /** @type {(typeof SubscriptionState)[keyof typeof SubscriptionState]} */
    this.state = SubscriptionState.PENDING;
    /** @type {import("../generated/protocol.js").Column[] | undefined} */
    this.schema = undefined;
    /** The policy in force, and the columns by which it merges. @type {import("../generated/protocol.js").Overflow | undefined} */
    this.overflow = undefined;
    /** @type {string[]} */
    this.key = [];
    /** Milliseconds from `published_at` to arrival, corrected for the clocks; without what was published before we asked. */
    this.lag_ms = new Window();
    this.#command = command;
    this.#retry_in_ms = retry_in_ms;
    this.#clock = clock;
    this.#demand.set(options.credit);
  }

  /** The last publication or gap taken into account. @returns {{epoch: string, offset: number} | undefined} */
  get position() {
    return this.#account.position;
  }

  /** What has come, and what has not. */
  get counts() {
    return this.#account.counts;
  }

  /** Publications that may still come, as far as we know; null: any number. */
  get credit() {
    return this.#demand.credit;
  }

  /**
   * Let `n` more publications come; grants add up. While there is no connection they are kept for when it is back.
   *
   * @param {number} n at least 1; throws RangeError
   */
  request(n) {
    if (!Number.isSafeInteger(n) || n < 1) throw new RangeError(`n must be an integer of at least 1, not ${n}`);
    this.#changed.then(() => this.#demand.add(n)); // on top of a credit that is on its way
  }

  /**
   * Change options in place: nothing is lost, nothing comes twice. Without a connection they hold from the next one on.
   *
   * @param {ChangeableOptions} options what is left out stays as it is
   * @returns {Promise<import("../generated/protocol.js").Subscribed>} when they are in force; rejects with RivuletError where they
   *   are refused, and then those before stay
   */
  resubscribe(options) {
    const given = Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
    const change = this.#changed.then(() => this.#resubscribe(given));
    this.#changed = change.catch(() => {}); // the caller is told; the next change is made all the same
    return change;
  }

  /** Ask for the stream on the connection that is live now. */
  async open(attempt = 0) {
    if (this.#over) return;
    this.#asked_at_ms = Date.now();
    this.#asking = true;
    this.#paid_until = undefined;
    const given = Object.entries(this.options).filter(([, value]) => value !== null);
    try {
      await this.#command({
        ...Object.fromEntries(given),
        type: "subscribe",
        sub: this.sub,
        stream: this.stream,
        since: this.position ?? this.options.since,
        credit: this.#demand.restate(),
      });
    } catch (error) {
      this.#asking = false;
      if (this.#over) return;
      if (!(error instanceof RivuletError)) return; // the connection went: it asks again when it is back
      if (ERROR_CODES[error.code]?.retry)
        this.#timer = setTimeout(() => this.open(attempt + 1), this.#retry_in_ms(attempt));
      else this.end(error.detail, { error });
    }
  }

  /** The connection is gone; the position stays. */
  interrupt() {
    clearTimeout(this.#timer);
    this.#asking = this.#demand.open = false;
    if (!this.#over) this.#enter(SubscriptionState.PENDING);
  }

  /** @param {string} reason @param {{error?: Error, last_offset?: number}} [detail] */
  end(reason, detail = {}) {
    if (this.#over) return;
    clearTimeout(this.#timer);
    this.#demand.open = false;
    this.#enter(SubscriptionState.ENDED);
    this.emit("ended", { reason, ...detail });
  }

  /** A frame for this subscription, in the order of the wire. The reply comes this way too, before what follows it. */
  take(frame) {
    if (this.#over) return;
    if (frame.type === "publication") this.#publication(frame);
    else if (frame.type === "gap") {
      if (this.#account.gap(frame)) this.emit("gap", frame);
    } else if (frame.type === "subscribed") this.#subscribed(frame);
    else if (frame.type === "subscription_moved") this.#moved(frame);
    else if (frame.type === "subscription_degraded") this.#degraded(frame);
    else if (frame.type === "subscription_ended") this.end(frame.reason, { last_offset: frame.last_offset });
  }

  get #over() {
    return this.state === SubscriptionState.ENDED;
  }

  #enter(state) {
    if (state === this.state) return;
    this.state = state;
    this.emit("state", state);
  }

  /** @param {import("../generated/protocol.js").Subscribed} reply */
  #subscribed(reply) {
    const { epoch, offset } = reply;
    if (this.state === SubscriptionState.PENDING) {
      // A position of ours that the gateway did not take up is answered by a gap, which the account takes in.
      this.#account.position = { epoch, offset };
      this.#asking = false;
      this.#enter(SubscriptionState.LIVE);
    } else if (this.#change?.credit !== undefined) {
      // The reply may overtake publications that were handed over before it: the account goes on where it was, and these
      // were paid for with the credit before.
      this.#demand.set(this.#change.credit);
      this.#paid_until = { epoch, offset };
    }
    this.schema = reply.schema ?? this.schema;
    this.overflow = reply.overflow;
    this.key = reply.key ?? [];
    this.#demand.confirm();
    this.emit("subscribed", reply);
  }

  /** @param {import("../generated/protocol.js").Publication} frame */
  #publication(frame) {
    if (!this.#account.publication(frame)) return;
    this.#measure(Date.now(), Date.parse(frame.published_at));
    const { epoch, offset } = this.#paid_until ?? {};
    const paid = epoch === frame.epoch && frame.offset <= offset;
    const handled = paid ? () => {} : this.#demand.arrived();
    const under_way = this.emit("publication", frame);
    if (under_way) under_way.then(handled);
    else handled();
  }

  #measure(arrival_ms, published_ms) {
    if (this.options.since === "latest" && !this.options.every_ms) this.#clock.add(arrival_ms, published_ms);
    if (published_ms + this.#clock.offset_ms >= this.#asked_at_ms) {
      this.lag_ms.add(Math.max(0, arrival_ms - published_ms - this.#clock.offset_ms));
    }
  }

  /** A fork has taken us along: the next connection asks for its stream. @param {import("../generated/protocol.js").SubscriptionMoved} frame */
  #moved(frame) {
    this.#account.move(frame, frame);
    this.stream = frame.stream;
    this.#paid_until = undefined;
    this.emit("moved", frame);
  }

  /** @param {import("../generated/protocol.js").SubscriptionDegraded} frame */
  #degraded(frame) {
    this.overflow = frame.overflow;
    this.options = { ...this.options, overflow: frame.overflow }; // what is in force is what the next connection asks for
    this.emit("degraded", frame);
  }

  /** @param {ChangeableOptions} options */
  async #resubscribe(options) {
    if (this.#asking) await this.#told(); // that asks for what was wanted before
    if (this.#over) throw new Error(`the subscription to ${this.stream} has ended`);
    const before = Object.fromEntries(Object.keys(options).map((name) => [name, this.options[name]]));
    this.options = { ...this.options, ...options };
    if (this.state === SubscriptionState.PENDING) return this.#heldOver(options);
    this.#change = options;
    if (options.credit !== undefined) this.#demand.open = false; // a grant on top of it would be one too many
    try {
      return await this.#command({ ...options, type: "resubscribe", sub: this.sub });
    } catch (error) {
      if (error instanceof ConnectionLost) return await this.#heldOver(options);
      if (error instanceof RivuletError) this.options = { ...this.options, ...before };
      if (this.state === SubscriptionState.LIVE) this.#demand.confirm();
      throw error;
    } finally {
      this.#change = undefined;
    }
  }

  /** There is no connection to change it on: the next one begins with it. */
  #heldOver(options) {
    this.#change = undefined;
    if (options.credit !== undefined) this.#demand.set(options.credit);
    return this.#told();
  }

  /** The next `subscribed`. @returns {Promise<any>} */
  #told() {
    return new Promise((resolve, reject) => {
      const offs = [
        this.on("subscribed", (reply) => done(() => resolve(reply))),
        this.on("ended", ({ reason, error }) => done(() => reject(error ?? new Error(reason)))),
      ];
      const done = (settle) => {
        for (const off of offs) off();
        settle();
      };
    });
  }

  async #grant(n) {
    try {
      await this.#command({ type: "request", sub: this.sub, n });
    } catch (error) {
      // A lost connection begins anew with what is left; one that does not answer is about to be given up; and where the
      // gateway knows nothing of us, the end is on its way. Anything else is tried again, or nothing would ever come.
      const passing = error instanceof ConnectionLost || error instanceof ReplyTimeout || error.code === "not_found";
      if (!passing && this.#demand.open) this.#timer = setTimeout(() => this.#grant(n), this.#retry_in_ms(0));
    }
  }
}
