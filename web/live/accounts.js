import { connection } from "./gateway.js";
import { fallen } from "./streams.js";

/** From publication to arrival. @returns {{p50?: number, p95?: number}} ms */
export function lagOf(subscription) {
  if (!subscription) return {};
  const { lag_ms } = subscription;
  return { p50: lag_ms.quantile(0.5), p95: lag_ms.quantile(0.95) };
}

/**
 * Every subscription as a row of figures, and their sums. `dropped` are offsets that we were too slow for, `not_kept` those that
 * were gone before they could be asked for: both will never come.
 */
export function accounts() {
  const subscriptions = [...connection.subscriptions, ...fallen].map((subscription) => {
    const { counts, options } = subscription;
    return {
      sub: subscription.sub,
      stream: subscription.stream,
      state: subscription.state,
      overflow: subscription.overflow,
      every_ms: options.every_ms ?? 0,
      filtered: Boolean(options.where?.length),
      projected: Boolean(options.select),
      ...counts,
      dropped: counts.overflowed,
      not_kept: counts.missing - counts.overflowed,
      ...lagOf(subscription),
    };
  });
  const sum = (name) => subscriptions.reduce((total, row) => total + row[name], 0);
  const sums = Object.fromEntries(
    ["publications", "rows", "merged", "gaps", "missing", "dropped", "not_kept", "epochs", "violations"].map((name) => [
      name,
      sum(name),
    ]),
  );
  const slowest = subscriptions.filter((row) => row.p95 !== undefined).sort((a, b) => b.p95 - a.p95)[0];
  return { ...sums, subscriptions, slowest };
}
