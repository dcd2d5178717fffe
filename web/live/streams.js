import { signal } from "../vendor/vendor.js";
import { say } from "./announcer.js";
import { connection } from "./gateway.js";

const MAX_TROUBLES = 5;

/**
 * Where a stream gives less than was asked for: it has ended by itself, or is held to another policy. Newest last, bounded.
 * @type {import("../vendor/vendor.js").Signal<{stream: string, told: string, at_ms: number}[]>}
 */
export const troubles = signal([]);

/** Those that have ended by themselves: what they missed is still to be told. */
export const fallen = new Set();

/**
 * Subscribe to a stream; what goes wrong with it is told to the user.
 *
 * @param {string} stream @param {import("../client/subscription.js").SubscribeOptions} [options]
 */
export function listenTo(stream, options) {
  const subscription = connection.subscribe(stream, options);
  subscription.on("gap", ({ from, to, reason }) => {
    if (to >= from) say(`${to - from + 1} publications of ${stream} will never come: ${reason}`);
  });
  subscription.on("degraded", ({ overflow, reason }) =>
    trouble(stream, `held to ${overflow.replace("_", " ")} from now on: ${reason}`),
  );
  subscription.on("ended", ({ reason, error, last_offset }) => {
    if (!error && last_offset === undefined) return; // we have given it up ourselves
    fallen.add(subscription);
    trouble(stream, `ended: ${reason}`);
  });
  return subscription;
}

/** Give a subscription up. */
export function leave(subscription) {
  fallen.delete(subscription);
  // Without a connection there is nothing to take back on the other side; any other refusal is a fault worth seeing.
  connection.unsubscribe(subscription).catch((error) => {
    if (error.name !== "ConnectionLost" && error.code !== "not_found")
      console.error(`${subscription.stream} could not be unsubscribed:`, error);
  });
}

function trouble(stream, told) {
  troubles.value = [...troubles.peek(), { stream, told, at_ms: Date.now() }].slice(-MAX_TROUBLES);
  say(`${stream} ${told}`);
}
