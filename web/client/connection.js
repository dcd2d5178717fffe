import { vendored } from "./arrow.js";
import { fullJitter, within } from "./backoff.js";
import { ClockOffset } from "./clock.js";
import { Emitter } from "./emitter.js";
import { ConnectionLost, ReplyTimeout, RivuletError } from "./errors.js";
import { Window } from "./lag.js";
import { mayReconnect } from "../generated/protocol.js";
import { openSocket } from "./socket.js";
import { Subscription, SubscriptionState } from "./subscription.js";

/** Where a connection stands. */
export const ConnectionState = Object.freeze({
  CONNECTING: "connecting",
  LIVE: "live",
  WAITING: "waiting", // lost; comes back by itself after a while
  CLOSED: "closed", // by `close()`, or by a close code that forbids to come back
});

const MAX_PENDING = 1024;
/** What a gateway waits for `wait: "applied"`, where the command does not say. */
const DEFAULT_WAIT_S = 30;

/**
 * A connection to a gateway that comes back by itself.
 *
 * Events: `state` ({state, code?, reason?, retry_in_ms?}), `welcome`, `parameters`, `job`, `drain`, `round_trip` (ms),
 * `error` (a RivuletError of a command that had no id).
 */
export class Connection extends Emitter {
  #options;
  #socket;
  #pending = new Map();
  #subscriptions = new Map();
  #next_id = 1;
  #next_sub = 1;
  #attempt = 0;
  #drain_window_ms;
  /** @type {import("./arrow.js").ArrowLibrary | undefined} */
  #arrow;
  #retry_timer;
  #ping_timer;

  /**
   * @param {{url: string, token?: string, arrow?: boolean | (() => Promise<import("./arrow.js").ArrowLibrary>),
   *   WebSocket?: typeof globalThis.WebSocket, reply_timeout_ms?: number, ping_interval_ms?: number, base_ms?: number,
   *   cap_ms?: number, random?: () => number}} options
   *   `arrow`: publications carry Arrow tables; true for the vendored library, or a function that loads another.
   *   `WebSocket` is needed where there is no global one (node before 22)
   */
  constructor({ WebSocket = globalThis.WebSocket, reply_timeout_ms = 10_000, ping_interval_ms = 5_000, ...options }) {
    super();
    if (!WebSocket) throw new TypeError("there is no global WebSocket here: pass one as `WebSocket`");
    this.#options = { WebSocket, reply_timeout_ms, ping_interval_ms, ...options };
    /** @type {(typeof ConnectionState)[keyof typeof ConnectionState]} */
    this.state = ConnectionState.CLOSED;
    /** The gateway's `welcome`, while live. @type {import("../generated/protocol.js").Welcome | undefined} */
    this.welcome = undefined;
    this.round_trip_ms = new Window(32);
    /** How far our clock is ahead of the gateway's. */
    this.clock = new ClockOffset();
  }

  /** @returns {Iterable<Subscription>} */
  get subscriptions() {
    return this.#subscriptions.values();
  }

  /** Connect, unless that is under way; `state` tells how it goes. */
  open() {
    if (this.state === ConnectionState.CLOSED) this.#connect();
    return this;
  }

  /** Do not wait for the next attempt: make it now. */
  retryNow() {
    if (this.state === ConnectionState.WAITING) this.#connect();
  }

  /** End it: pending replies are rejected, subscriptions end, nothing comes back. */
  close() {
    clearTimeout(this.#retry_timer);
    if (this.#socket) this.#socket.close(1000);
    else this.#enter(ConnectionState.CLOSED);
    for (const subscription of [...this.#subscriptions.values()]) subscription.end("the connection was closed");
  }

  /**
   * Send a command and wait for its reply.
   *
   * @param {{type: string, [field: string]: any}} frame without `id` @param {{timeout_ms?: number}} [options]
   * @returns {Promise<any>} rejects with RivuletError, ConnectionLost or ReplyTimeout
   */
  command(frame, { timeout_ms = this.#options.reply_timeout_ms } = {}) {
    if (this.state !== ConnectionState.LIVE) return Promise.reject(new ConnectionLost("not connected to the gateway"));
    if (this.#pending.size >= MAX_PENDING)
      return Promise.reject(new Error(`${MAX_PENDING} commands wait for a reply already`));
    const id = this.#next_id++;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#pending.delete(id);
        reject(new ReplyTimeout(frame.type, timeout_ms));
      }, timeout_ms);
      this.#pending.set(id, { resolve, reject, timer });
      this.#socket.send({ ...frame, id });
    });
  }

  /**
   * @param {string} name
   * @param {{parameters?: object, name?: string, context?: string, external_id?: string, share?: boolean}} [options]
   */
  run = (name, options = {}) => this.command({ type: "run", function: name, ...options }, { timeout_ms: 60_000 });
  /**
   * A job of one's own from where another is; our subscriptions to that (or those of `subs`) go over to it.
   *
   * @param {string} job @param {object} [values] a merge patch @param {{name?: string, subs?: number[]}} [options]
   */
  fork = (job, values = {}, options = {}) =>
    this.command({ type: "fork", job, values, ...options }, { timeout_ms: 60_000 });
  /** @param {string} job @param {"graceful" | "now"} [mode] */
  stop = (job, mode = "graceful") => this.command({ type: "stop", job, mode }, { timeout_ms: 60_000 });
  getJob = (job) => this.command({ type: "get_job", job });
  listJobs = (filters = {}) => this.command({ type: "list_jobs", ...filters });
  getParameters = (job) => this.command({ type: "get_parameters", job });
  /**
   * Change parameters. With `wait: "applied"` the reply comes when the change is applied, or that is settled otherwise,
   * at the latest after `wait_s` (30); `state` and `reason` tell.
   *
   * @param {string} job @param {object} values a merge patch
   * @param {{if_revision?: number, dry_run?: boolean, ttl_s?: number, reset?: boolean, wait?: "accepted" | "applied",
   *   wait_s?: number}} [options]
   * @returns {Promise<import("../generated/protocol.js").ParametersAccepted>}
   */
  setParameters = (job, values, options = {}) => this.#change({ type: "set_parameters", job, values, ...options });
  /**
   * Bring back the values of an earlier revision, as a new one.
   *
   * @param {string} job @param {number} revision
   * @param {{if_revision?: number, dry_run?: boolean, reset?: boolean, wait?: "accepted" | "applied", wait_s?: number}}
   *   [options]
   * @returns {Promise<import("../generated/protocol.js").ParametersAccepted>}
   */
  revert = (job, revision, options = {}) => this.#change({ type: "revert", job, revision, ...options });
  /**
   * The newest changes of a job's parameters, newest first: who, when, from where, what, and what came of it.
   *
   * @param {string} job @param {number} [limit]
   * @returns {Promise<import("../generated/protocol.js").Change[]>}
   */
  history = async (job, limit = 100) =>
    (await this.command({ type: "get_parameters", job, schema: false, history: limit })).history ?? [];

  /**
   * Subscribe to a stream, now or as soon as the connection is there, and again after each loss of it.
   *
   * @param {string} stream `<job>/<output>`
   * @param {import("./subscription.js").SubscribeOptions} [options]
   */
  subscribe(stream, options = {}) {
    const subscription = new Subscription({
      sub: this.#next_sub++,
      stream,
      options: { since: "latest", ...options },
      command: (frame) => this.command(frame),
      retry_in_ms: (attempt) => fullJitter(attempt, this.#options),
      clock: this.clock,
    });
    this.#subscriptions.set(subscription.sub, subscription);
    subscription.on("ended", () => this.#subscriptions.delete(subscription.sub));
    if (this.state === ConnectionState.LIVE) subscription.open();
    return subscription;
  }

  /** @param {Subscription} subscription */
  async unsubscribe(subscription) {
    const asked = this.state === ConnectionState.LIVE && subscription.state !== SubscriptionState.ENDED;
    subscription.end("unsubscribed");
    if (asked) await this.command({ type: "unsubscribe", sub: subscription.sub });
  }

  /** A command that may wait for its change, and must not time out meanwhile. */
  #change(frame) {
    const { reply_timeout_ms } = this.#options;
    const wait_ms = frame.wait === "applied" ? (frame.wait_s ?? DEFAULT_WAIT_S) * 1000 : 0;
    return this.command(frame, { timeout_ms: reply_timeout_ms + wait_ms });
  }

  #enter(state, detail = {}) {
    this.state = state;
    this.emit("state", { state, ...detail });
  }

  #connect() {
    clearTimeout(this.#retry_timer);
    this.#enter(ConnectionState.CONNECTING);
    if (this.#options.arrow && !this.#arrow) this.#loadArrow();
    else this.#openSocket();
  }

  /** Before the socket, so that every publication can be read when it comes. */
  async #loadArrow() {
    const { arrow } = this.#options;
    const isWanted = () => this.state === ConnectionState.CONNECTING && !this.#socket;
    try {
      this.#arrow = await (typeof arrow === "function" ? arrow() : vendored());
      if (isWanted()) this.#openSocket();
    } catch (error) {
      if (isWanted()) this.#closed(1006, `Arrow could not be loaded: ${error.message}`);
    }
  }

  #openSocket() {
    this.#socket = openSocket({
      ...this.#options,
      arrow: this.#arrow,
      on_frame: (frame) => this.#frame(frame),
      on_close: (code, reason) => this.#closed(code, reason),
    });
  }

  #closed(code, reason) {
    clearTimeout(this.#ping_timer);
    this.#socket = undefined;
    this.welcome = undefined;
    for (const { reject, timer } of this.#pending.values()) {
      clearTimeout(timer);
      reject(new ConnectionLost());
    }
    this.#pending.clear();
    for (const subscription of this.#subscriptions.values()) subscription.interrupt();
    if (!mayReconnect(code)) {
      this.#enter(ConnectionState.CLOSED, { code, reason });
      return;
    }
    const { random } = this.#options;
    const retry_in_ms = this.#drain_window_ms
      ? within(this.#drain_window_ms, random)
      : fullJitter(this.#attempt, this.#options);
    this.#drain_window_ms = undefined;
    this.#attempt += 1;
    this.#retry_timer = setTimeout(() => this.#connect(), retry_in_ms);
    this.#enter(ConnectionState.WAITING, { code, reason, retry_in_ms });
  }

  #frame(frame) {
    if (frame.type === "subscribed") this.#subscriptions.get(frame.sub)?.take(frame);
    if (frame.id !== undefined) this.#reply(frame);
    else if (frame.sub !== undefined) this.#subscriptions.get(frame.sub)?.take(frame);
    else if (frame.type === "welcome") this.#welcomed(frame);
    else if (frame.type === "error") this.emit("error", new RivuletError(frame));
    else {
      if (frame.type === "drain") this.#drain_window_ms = frame.reconnect_in_ms;
      this.emit(frame.type, frame);
    }
  }

  #reply(frame) {
    const waiting = this.#pending.get(frame.id);
    if (!waiting) return; // its time was over: the caller knows already
    this.#pending.delete(frame.id);
    clearTimeout(waiting.timer);
    if (frame.type === "error") waiting.reject(new RivuletError(frame));
    else waiting.resolve(frame);
  }

  #welcomed(frame) {
    this.#attempt = 0;
    this.welcome = frame;
    const waiting = [...this.#subscriptions.values()]; // those that listeners add now are opened as they are made
    this.#enter(ConnectionState.LIVE);
    this.emit("welcome", frame);
    for (const subscription of waiting) subscription.open();
    this.#ping();
  }

  /** Measure the round trip; a gateway that does not answer is as good as gone, whatever TCP believes. */
  async #ping() {
    const socket = this.#socket;
    const sent_at = performance.now();
    try {
      await this.command({ type: "ping" });
      const round_trip_ms = performance.now() - sent_at;
      this.round_trip_ms.add(round_trip_ms);
      this.clock.round_trip_ms = this.round_trip_ms.min;
      this.emit("round_trip", round_trip_ms);
    } catch (error) {
      if (error instanceof ReplyTimeout) socket?.close(4408, "no pong");
      else if (!(error instanceof ConnectionLost)) this.emit("error", error);
    }
    if (this.#socket === socket && socket)
      this.#ping_timer = setTimeout(() => this.#ping(), this.#options.ping_interval_ms);
  }
}
