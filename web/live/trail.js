import { signal } from "../vendor/vendor.js";

/** How many of a job's newest changes a page asks for, and keeps. */
export const MAX_CHANGES = 200;

/** States of a revision that holds no more, or never did. */
const OVER = new Set(["rejected", "superseded", "reverted"]);
const OF_PUSH = ["values", "changed", "before", "by", "origin", "effect", "batch", "reason", "expires_at", "restores"];

/** @typedef {import("../generated/protocol.js").Change} Change */

/** Every change of a job's parameters: what the gateway keeps of them, and what comes while we look. */
export class Trail {
  constructor() {
    /** Oldest first. @type {import("../vendor/vendor.js").Signal<Change[]>} */
    this.changes = signal([]);
    /** Whether the stored history has come. */
    this.known = signal(false);
  }

  /** @param {Change[]} history as `get_parameters` answers, newest first: where it tells of a revision, it is right */
  take(history) {
    const told = new Set(history.map(({ revision }) => revision));
    this.known.value = true;
    this.#keep([...history, ...this.changes.peek().filter(({ revision }) => !told.has(revision))]);
  }

  /** @param {import("../generated/protocol.js").Parameters} push */
  push(push) {
    const { revision, state, at } = push;
    const before = this.changes.peek().find((each) => each.revision === revision);
    const told = OF_PUSH.filter((name) => push[name] !== undefined).map((name) => [name, push[name]]);
    const change = { at, before: {}, ...before, ...Object.fromEntries(told), revision, state };
    if (state !== "accepted") change.settled_at = at;
    this.#keep([...this.changes.peek().filter((each) => each.revision !== revision), change]);
  }

  #keep(changes) {
    this.changes.value = changes.sort((a, b) => a.revision - b.revision).slice(-MAX_CHANGES);
  }
}

/** When each parameter goes back by itself, by name. @param {Change[]} changes oldest first @param {number} now_ms */
export function expiries(changes, now_ms) {
  const found = {};
  for (const { changed, state, expires_at } of changes) {
    if (OVER.has(state)) continue;
    for (const name of Object.keys(changed)) {
      if (Date.parse(expires_at) > now_ms) found[name] = expires_at;
      else delete found[name];
    }
  }
  return found;
}

/** Where two sets of values differ. @returns {{name: string, before: any, after: any}[]} */
export function differencesOf(before, after) {
  const names = new Set([...Object.keys(before), ...Object.keys(after)]);
  return [...names]
    .filter((name) => !same(before[name], after[name]))
    .map((name) => ({ name, before: before[name], after: after[name] }));
}

/** Whether two values of a parameter are the same: they are JSON. */
export function same(a, b) {
  return JSON.stringify(a) === JSON.stringify(b);
}
