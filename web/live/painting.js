import { signal } from "../vendor/vendor.js";

/** Whether painting is paused; the data go on into their bounded rings meanwhile. */
export const paused = signal(false);
/** Rows that came while painting was paused. */
export const behind = signal(0);
/** Counts how often painting went on after a pause or a hidden page: whoever shows data reads it to catch up. */
export const resumed = signal(0);

const painters = new Set();
let requested = false;
let last_paint_ms = 0;
const calm = globalThis.matchMedia?.("(prefers-reduced-motion: reduce)");

/** @param {boolean} value */
export function setPaused(value) {
  paused.value = value;
  behind.value = 0;
  if (!value) {
    resumed.value += 1;
    for (const painter of painters) painter.dirty = true;
    request();
  }
}

/**
 * Paint at most once per animation frame, and only when there is something new: never while paused or hidden.
 *
 * @param {() => void} paint
 * @returns {{invalidate: () => void, dispose: () => void}}
 */
export function painter(paint) {
  const own = { paint, dirty: true };
  painters.add(own);
  request();
  return {
    invalidate: () => {
      own.dirty = true;
      request();
    },
    dispose: () => painters.delete(own),
  };
}

/** Rows have arrived: count them where nobody sees them. @param {number} rows */
export function arrived(rows) {
  if (paused.peek()) behind.value += rows;
}

function request() {
  if (requested || paused.peek() || document.hidden) return;
  requested = true;
  requestAnimationFrame(frame);
}

function frame(now_ms) {
  requested = false;
  if (paused.peek()) return;
  if (calm?.matches && now_ms - last_paint_ms < 500) {
    request(); // two steps a second are enough where less motion is asked for
    return;
  }
  last_paint_ms = now_ms;
  for (const each of painters) {
    if (!each.dirty) continue;
    each.dirty = false;
    each.paint();
  }
}

document.addEventListener("visibilitychange", request);
