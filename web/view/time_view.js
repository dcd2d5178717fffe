import { signal } from "../vendor/vendor.js";

/** How much of the past the charts show, in seconds. */
export const window_seconds = signal(120);
/** A stretch of time that the charts are held at, instead of following the newest. */
export const pinned = signal(undefined);
/** The change whose mark is being looked at (its revision). */
export const looked_at = signal(undefined);
/** Lines that are switched off, and the one that is pointed at, by output. */
export const hidden_keys = signal(new Set());
export const pointed_key = signal(undefined);

/** Go back to the newest. */
export function follow() {
  pinned.value = undefined;
}
