import { effect, signal } from "../vendor/vendor.js";

/** Nobody looks at a hidden page: what comes then comes in few large publications instead of many small ones. */
const HIDDEN_MS = 5000;
/** So many publications may be under way: a page that is busy holds back the gateway instead of filling the browser's memory. */
export const CREDIT = 64;

/** At most one publication of a job's outputs in so many milliseconds; 0: each micro-batch. The user's choice. */
export const pace_ms = signal(0);
const hidden = signal(document.hidden);
document.addEventListener("visibilitychange", () => (hidden.value = document.hidden));

/** How often at most, now. @param {number} every_ms while somebody looks */
export function pace(every_ms) {
  return hidden.value ? Math.max(every_ms, HIDDEN_MS) : every_ms;
}

/**
 * What an output is to be asked for, now. Charts want every row, old ones too, so the rows of what is merged are all kept; but a
 * result that replaces the one before is not to be mixed with it.
 *
 * @param {{mode: string}} output
 * @returns {import("../client/subscription.js").ChangeableOptions}
 */
export function outputPace({ mode }) {
  const every_ms = pace(pace_ms.value);
  return { every_ms, overflow: mode === "complete" && every_ms ? "latest" : "drop_oldest" };
}

/**
 * Keep a subscription to what is wanted, as that changes; it is changed in place, so nothing is lost.
 *
 * @param {import("../client/subscription.js").Subscription} subscription
 * @param {() => import("../client/subscription.js").ChangeableOptions} wanted reads signals
 * @returns {() => void} ends that
 */
export function keepTo(subscription, wanted) {
  let before = JSON.stringify(wanted());
  return effect(() => {
    const options = wanted();
    if (JSON.stringify(options) === before) return;
    before = JSON.stringify(options);
    subscription.resubscribe(options).catch((error) => {
      if (subscription.state !== "ended") console.error(`${subscription.stream} keeps its pace:`, error);
    });
  });
}
