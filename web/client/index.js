export { fullJitter } from "./backoff.js";
export { Connection, ConnectionState } from "./connection.js";
export { ConnectionLost, ReplyTimeout, RivuletError } from "./errors.js";
export { Subscription, SubscriptionState } from "./subscription.js";

import { Connection } from "./connection.js";

/**
 * Connect to a gateway.
 *
 * @param {string} [url] `ws://host:port/ws`; by default that of the page's own origin
 * @param {Omit<ConstructorParameters<typeof Connection>[0], "url">} [options]
 */
export function connect(url = new URL("/ws", location.href.replace(/^http/, "ws")).href, options = {}) {
  return new Connection({ url, ...options }).open();
}
