import { RivuletError } from "../client/errors.js";
import { signal } from "../vendor/vendor.js";
import { faultsByField } from "./schema.js";

const DEBOUNCE_MS = 100;
const MAX_OWN = 200;

/**
 * What is known of one parameter: `pending` (changed here, on its way), `accepted` (has its revision), `applied` (from `batch`
 * on), or `refused` (why); `by` names somebody else who changed it.
 *
 * @typedef {{state: "pending" | "accepted" | "applied" | "refused", revision?: number, batch?: number, reason?: string,
 *   by?: string, at_ms: number}} FieldStatus
 */

/**
 * The parameters of one running job, steered from here and from elsewhere. What is dragged is sent when it rests for a moment;
 * one command is under way at a time, and the newest value always follows.
 */
export class ParameterBoard {
  #connection;
  #job;
  #names;
  #drafts = {};
  #latest;
  #timer;
  #sending;
  #held = [];
  #own = new Set();
  #off;

  /** @param {import("../client/index.js").Connection} connection @param {{id: string, name: string, revision: number, values: object}} job */
  constructor(connection, job) {
    this.#connection = connection;
    this.#job = job;
    this.#names = Object.keys(job.values);
    this.#latest = job.values;
    /** The revision that the newest micro-batch was computed under, and its values. */
    this.in_force = signal({ revision: job.revision, values: job.values });
    /** What the controls show: what is in force, overlaid by what is accepted, overlaid by what is being changed here. */
    this.shown = signal(job.values);
    /** @type {import("../vendor/vendor.js").Signal<Record<string, FieldStatus>>} */
    this.status = signal({});
    /** A fault that belongs to no single field. */
    this.fault = signal("");
    this.#off = [
      connection.on("parameters", (push) => this.#push(push)),
      connection.on("welcome", () => this.refresh()),
    ];
  }

  close() {
    clearTimeout(this.#timer);
    for (const off of this.#off) off();
  }

  /** Ask for what is in force now: at the start, and after a time without connection. */
  async refresh() {
    try {
      const { revision, values } = await this.#connection.getParameters(this.#job.id);
      this.in_force.value = { revision, values };
      for (const [name, each] of Object.entries(this.status.peek())) {
        if (each.state === "accepted") this.#set(name, { state: "applied", revision });
      }
      this.#show(values);
    } catch (error) {
      // A job that has ended has no parameters in force; without a connection the next `welcome` asks again.
      if (!(error instanceof RivuletError) && error.name !== "ConnectionLost") throw error;
    }
  }

  /** @param {string} name @param {any} value null brings the default back */
  change(name, value) {
    this.#drafts[name] = value;
    this.#set(name, { state: "pending" });
    this.#show();
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#send(), DEBOUNCE_MS);
  }

  /** Give up a refused value: what is in force is shown again. */
  discard(name) {
    delete this.#drafts[name];
    const { [name]: _, ...others } = this.status.peek();
    this.status.value = others;
    this.#show();
  }

  async #send() {
    const pending = Object.keys(this.#drafts).filter((name) => this.status.peek()[name]?.state === "pending");
    if (this.#sending || !pending.length) return;
    this.#sending = Object.fromEntries(pending.map((name) => [name, this.#drafts[name]]));
    this.fault.value = "";
    try {
      this.#accepted(await this.#connection.setParameters(this.#job.id, this.#sending));
    } catch (error) {
      this.#refused(error, pending);
    }
    this.#sending = undefined;
    for (const push of this.#held.splice(0)) this.#push(push);
    this.#send();
  }

  #accepted({ revision, values }) {
    this.#own.add(revision);
    if (this.#own.size > MAX_OWN) this.#own.delete(this.#own.values().next().value);
    for (const [name, sent] of Object.entries(this.#sending)) {
      if (this.#drafts[name] !== sent) continue; // changed again meanwhile: that is sent next
      delete this.#drafts[name];
      this.#set(name, { state: "accepted", revision });
    }
    this.#show(values);
  }

  #refused(error, pending) {
    const { by_field, others } = faultsByField(
      error.faults?.length ? error.faults : [{ detail: error.message }],
      this.#names,
    );
    const at_fault = pending.filter((name) => name in by_field);
    // The patch is taken as a whole or not at all: those that are not at fault are sent again, without the others.
    for (const name of at_fault.length && !others.length ? at_fault : pending) {
      if (this.#drafts[name] !== this.#sending[name]) continue;
      this.#set(name, { state: "refused", reason: by_field[name] ?? others.join("; ") });
    }
    if (others.length) this.fault.value = others.join("; ");
  }

  #push(push) {
    if (push.job !== this.#job.id && push.job !== this.#job.name) return;
    if (this.#sending) {
      this.#held.push(push); // whose change it is will be known with the reply
      return;
    }
    const by = this.#own.has(push.revision) ? undefined : push.by;
    const names = Object.keys(push.changed);
    if (push.state === "accepted") {
      for (const name of names)
        if (this.status.peek()[name]?.state !== "pending")
          this.#set(name, { state: "accepted", revision: push.revision, by });
      this.#show(push.values);
    } else if (push.state === "applied" || push.state === "reverted") {
      this.in_force.value = { revision: push.revision, values: push.values };
      for (const [name, each] of Object.entries(this.status.peek())) {
        if (each.state === "accepted" && each.revision <= push.revision) this.#applied(name, push, each.by);
      }
      for (const name of names) if (!this.status.peek()[name]) this.#applied(name, push, by);
      this.#show(push.values);
    } else if (push.state === "rejected") {
      for (const name of names) this.#set(name, { state: "refused", reason: push.reason ?? "the job refused it", by });
      this.#show(this.in_force.peek().values);
    }
  }

  #applied(name, { revision, batch }, by) {
    this.#set(name, { state: "applied", revision, batch, by });
  }

  #set(name, status) {
    this.status.value = { ...this.status.peek(), [name]: { ...status, at_ms: Date.now() } };
  }

  /** @param {object} [latest] the newest values that the gateway has taken */
  #show(latest = this.#latest) {
    this.#latest = latest;
    this.shown.value = { ...latest, ...this.#drafts };
  }
}
