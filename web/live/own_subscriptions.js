import { ConnectionState } from "../client/index.js";
import { signal } from "../vendor/vendor.js";
import { connection } from "./gateway.js";
import { leave } from "./streams.js";

/**
 * What the gateway counts of our own subscriptions, by `sub`; undefined while it is not known.
 * @type {import("../vendor/vendor.js").Signal<Map<number, {state: string, credit: number | null, behind: number, bytes: number}> | undefined>}
 */
export const own = signal(undefined);
/** Why it is not told, where that is so. */
export const untold = signal("");

/** Ask for it, once a second, for as long as somebody looks. @returns {() => void} ends that */
export function watchOwn() {
  let subscription;
  const end = () => {
    if (subscription) leave(subscription);
    subscription = undefined;
    own.value = undefined;
  };
  const begin = () => {
    // Another connection is another session, so the filter is another one, and the stream a new one.
    const where = [["session", "=", connection.welcome.session]];
    untold.value = "";
    subscription = connection.subscribe("$subscriptions", {
      where,
      select: ["sub", "state", "credit", "behind", "bytes"],
    });
    subscription.on("publication", ({ rows }) => (own.value = new Map(rows.map((row) => [row.sub, row]))));
    subscription.on("ended", ({ reason, error }) => error && (untold.value = reason));
  };
  const off = connection.on("state", ({ state }) => {
    if (state === ConnectionState.LIVE) begin();
    else if (subscription) end();
  });
  if (connection.state === ConnectionState.LIVE) begin();
  return () => {
    off();
    end();
  };
}
