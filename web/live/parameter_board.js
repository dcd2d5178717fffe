import { RivuletError } from "../client/errors.js";
import { signal } from "../vendor/vendor.js";
import { faultsByField } from "./schema.js";
import { MAX_CHANGES, Trail } from "./trail.js";

const DEBOUNCE_MS = 100;
const MAX_OWN = 200;

/**
 * What is known of one parameter: `pending` (changed here, on its way), `asking` (whether to give up the job's state for it),
 * `accepted` (has its revision), `applied` (from `batch` on), `refused` (why; what was typed stays), or `rejected` (the job failed
 * under it; what holds is shown again); `by` names somebody else who changed it.
 *
 * @typedef {{state: "pending" | "asking" | "accepted" | "applied" | "refused" | "rejected", revision?: number, batch?: number,
 *   effect?: string, reason?: string, by?: string, at_ms: number}} FieldStatus
 */

/**
 * The parameters of one running job, steered from here and from elsewhere. What is dragged is sent when it rests for a moment;
 * one command is under way at a time, and the newest value always follows.
 */
export class ParameterBoard {
  #connection;
  #job;
  #drafts = {};
  #latest;
  #timer;
  #sending = {};
  /** Settles when the command that is under way has been answered. @type {Promise<void> | undefined} */
  #busy;
  #held = [];
  /** Parameters for which the user has agreed to give up the job's state. */
  #agreed = new Set();
  #own = new Set();
  #off;

  /**
   * @param {import("../client/index.js").Connection} connection
   * @param {{id: string, name: string, revision: number, values: object}} job
   * @param {object} [schema] what is known of it until the gateway has told
   */
  constructor(connection, job, schema = {}) {
    this.#connection = connection;
    this.#job = job;
    this.#latest = job.values;
    this.schema = signal(schema);
    this.trail = new Trail();
    /** The revision that the newest micro-batch was computed under, and its values. */
    this.applied = signal({ revision: job.revision, values: job.values });
    /** What the controls show: what is in force, overlaid by what is being changed here. */
    this.shown = signal(job.values);
    /** What is in force: accepted, and applied soon if it is not yet. */
    this.in_force = signal({ revision: job.revision, values: job.values });
    /** @type {import("../vendor/vendor.js").Signal<Record<string, FieldStatus>>} */
    this.status = signal({});
    /** A fault that belongs to no single field. */
    this.fault = signal("");
    /** For how many minutes changes from here are to hold; undefined for good. */
    this.hold_minutes = signal(undefined);
    /**
     * A change that is only made where the user gives up the job's state for it.
     * @type {import("../vendor/vendor.js").Signal<{values?: object, revision?: number, detail: string} | undefined>}
     */
    this.asking = signal(undefined);
    this.#off = [
      connection.on("parameters", (push) => this.#push(push)),
      connection.on("welcome", () => this.refresh()),
    ];
  }

  close() {
    clearTimeout(this.#timer);
    for (const off of this.#off) off();
  }

  /** Ask for what is in force now, and for how it came to be: at the start, and after a time without connection. */
  async refresh() {
    try {
      const told = await this.#connection.command({
        type: "get_parameters",
        job: this.#job.id,
        history: MAX_CHANGES,
      });
      const { revision, values, schema, history } = told;
      if (schema) this.schema.value = schema;
      this.trail.take(history);
      const applied = history.find(({ state }) => state === "applied") ?? { revision, values };
      this.applied.value = { revision: applied.revision, values: applied.values };
      this.in_force.value = { revision, values };
      for (const [name, each] of Object.entries(this.status.peek())) {
        if (each.state === "accepted" && each.revision <= applied.revision)
          this.#set(name, { state: "applied", revision: applied.revision });
      }
      this.#show(values);
    } catch (error) {
      if (error.name === "ConnectionLost") return; // the next `welcome` asks again
      if (!(error instanceof RivuletError)) throw error;
      this.fault.value = `The gateway does not tell of the parameters: ${error.message}`;
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

  /** Give up a value that was refused, or the news that one was rejected: what is in force is shown. */
  discard(name) {
    delete this.#drafts[name];
    const { [name]: _, ...others } = this.status.peek();
    this.status.value = others;
    this.#show();
  }

  /** Bring the values of an earlier revision back, as a new one. @param {number} revision */
  restore(revision, { reset = false } = {}) {
    return this.#alone(async () => {
      this.fault.value = "";
      try {
        const reply = await this.#connection.command({ type: "revert", job: this.#job.id, revision, reset });
        this.#owned(reply.revision);
      } catch (error) {
        if (error.code === "reset_required") this.asking.value = { revision, detail: error.message };
        else this.fault.value = `Revision ${revision} was not restored: ${error.message}`;
      }
    });
  }

  /** The user has answered: make the change that gives up the job's state, or leave it. @param {boolean} yes */
  answer(yes) {
    const { values, revision } = this.asking.peek();
    this.asking.value = undefined;
    if (revision !== undefined) return yes ? this.restore(revision, { reset: true }) : undefined;
    for (const name of Object.keys(values)) {
      if (!yes) this.discard(name);
      else {
        this.#agreed.add(name);
        this.#set(name, { state: "pending" });
      }
    }
    return this.#send();
  }

  /** Do it when no other command is under way from here; whose change a push tells of is known with the reply. */
  async #alone(command) {
    while (this.#busy) await this.#busy;
    let done;
    this.#busy = new Promise((resolve) => (done = resolve));
    await command();
    this.#busy = undefined;
    for (const push of this.#held.splice(0)) this.#push(push);
    done();
  }

  async #send() {
    await this.#alone(async () => {
      const pending = this.#pending();
      if (!pending.length) return;
      this.fault.value = "";
      this.#sending = Object.fromEntries(pending.map((name) => [name, this.#drafts[name]]));
      const minutes = this.hold_minutes.peek();
      const reset = pending.some((name) => this.#agreed.has(name));
      this.#agreed.clear();
      const options = { ...(minutes && { ttl_s: minutes * 60 }), ...(reset && { reset }) };
      try {
        this.#accepted(await this.#connection.setParameters(this.#job.id, this.#sending, options));
      } catch (error) {
        this.#refused(error, pending);
      }
    });
    if (this.#pending().length) await this.#send();
  }

  #pending() {
    return Object.keys(this.#drafts).filter((name) => this.status.peek()[name]?.state === "pending");
  }

  #owned(revision) {
    this.#own.add(revision);
    if (this.#own.size > MAX_OWN) this.#own.delete(this.#own.values().next().value);
  }

  #accepted({ revision, values, effect, batch }) {
    this.#owned(revision);
    for (const [name, sent] of Object.entries(this.#sending)) {
      if (this.#drafts[name] !== sent) continue; // changed again meanwhile: that is sent next
      delete this.#drafts[name];
      // With a batch there was nothing to change: it is applied already, and no push will tell of it.
      this.#set(name, { state: batch === undefined ? "accepted" : "applied", revision, effect, batch });
    }
    this.#show(values);
  }

  #refused(error, pending) {
    if (error.code === "reset_required") {
      for (const name of pending)
        if (this.#drafts[name] === this.#sending[name]) this.#set(name, { state: "asking" });
      this.asking.value = { values: this.#sending, detail: error.message };
      return;
    }
    const names = Object.keys(this.#latest);
    const { by_field, others } = faultsByField(
      error.faults?.length ? error.faults : [{ path: error.path, detail: error.message }],
      names,
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
    if (this.#busy) {
      this.#held.push(push);
      return;
    }
    this.trail.push(push);
    const { state, revision, values, changed, effect, in_force } = push;
    const by = this.#own.has(revision) ? undefined : push.by;
    const names = Object.keys(changed);
    if (state === "accepted") {
      for (const name of names)
        if (this.status.peek()[name]?.state !== "pending") this.#set(name, { state, revision, effect, by });
      this.in_force.value = { revision, values };
      this.#show(values);
    } else if (state === "applied") {
      this.applied.value = { revision, values };
      for (const [name, each] of Object.entries(this.status.peek())) {
        if (each.state === "accepted" && each.revision <= revision) this.#applied(name, push, each.by);
      }
      for (const name of names) if (!this.status.peek()[name]) this.#applied(name, push, by);
      if (revision > this.in_force.peek().revision) {
        this.in_force.value = { revision, values };
        this.#show(values);
      }
    } else if (state === "rejected") {
      for (const name of names) {
        if (this.#drafts[name] === undefined)
          this.#set(name, { state, revision, reason: push.reason ?? "the job failed under it", by });
      }
      this.in_force.value = in_force ?? this.applied.peek();
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
