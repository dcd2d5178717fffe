/**
 * Waiting times between attempts: exponential with full jitter, so that clients cut off together do not come back together.
 *
 * @param {number} attempt counts from 0
 * @param {{base_ms?: number, cap_ms?: number, random?: () => number}} [options]
 * @returns {number} milliseconds, evenly drawn from 0 to min(cap, base * 2^attempt)
 */
export function fullJitter(attempt, { base_ms = 500, cap_ms = 20_000, random = Math.random } = {}) {
  const ceiling_ms = Math.min(cap_ms, base_ms * 2 ** Math.min(attempt, 30));
  return Math.round(random() * ceiling_ms);
}

/**
 * A time within the window that the gateway asked for in `drain`.
 *
 * @param {[number, number]} window_ms
 * @param {() => number} [random]
 * @returns {number} milliseconds
 */
export function within([min_ms, max_ms], random = Math.random) {
  return Math.round(min_ms + random() * (max_ms - min_ms));
}
