import { connection } from "./gateway.js";

/** From publication to arrival. @returns {{p50?: number, p95?: number}} ms */
export function lagOf(subscription) {
  if (!subscription) return {};
  const { lag_ms } = subscription;
  return { p50: lag_ms.quantile(0.5), p95: lag_ms.quantile(0.95) };
}

/** Every subscription as a row of figures, and their sums. */
export function accounts() {
  const rows = [...connection.subscriptions].map((subscription) => ({
    stream: subscription.stream,
    state: subscription.state,
    ...subscription.counts,
    ...lagOf(subscription),
  }));
  const sum = (name) => rows.reduce((total, row) => total + row[name], 0);
  const slowest = rows.filter((row) => row.p95 !== undefined).sort((a, b) => b.p95 - a.p95)[0];
  return {
    rows,
    gaps: sum("gaps"),
    missing: sum("missing"),
    dropped: sum("overflowed"),
    violations: sum("violations"),
    slowest,
  };
}
