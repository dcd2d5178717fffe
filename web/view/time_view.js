import { signal } from "../vendor/vendor.js";

/** How much of the past the charts show, in seconds. */
export const window_seconds = signal(120);
/** A stretch of time that the charts are held at, instead of following the newest. */
export const pinned = signal(undefined);
/** The change whose mark is being looked at (its key). */
export const looked_at = signal(undefined);
/** Lines that are switched off, by what switches them, and the one that is pointed at, by output. */
export const hidden_keys = signal(new Set());
export const pointed_key = signal(undefined);

/** Go back to the newest. */
export function follow() {
  pinned.value = undefined;
}

/** Switch lines off, or on again. @param {string} key what switches them */
export function toggleKey(key) {
  const hidden = new Set(hidden_keys.peek());
  if (!hidden.delete(key)) hidden.add(key);
  hidden_keys.value = hidden;
}
