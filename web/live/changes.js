import { differencesOf } from "./trail.js";

/**
 * A change of parameters that took effect.
 *
 * @typedef {{key: string, revision: number, batch: number, by: string, at: string, effect: string,
 *   differences: {name: string, before: any, after: any}[], side?: string}} AppliedChange
 */

/**
 * The changes that took effect, oldest first, each with what it changed from and to: the marks of the charts.
 *
 * Several changes between two batches are applied together, so the values before tell more than what the last one changed.
 *
 * @param {import("./trail.js").Change[]} changes oldest first @param {string} [side] whose they are, where two jobs are compared
 * @returns {AppliedChange[]}
 */
export function appliedChanges(changes, side = "") {
  const applied = [];
  let before;
  for (const { revision, batch, by, at, effect, state, values, changed, before: were } of changes) {
    if (batch === undefined || (state !== "applied" && state !== "reverted")) continue;
    const then = before ?? { ...values, ...Object.fromEntries(Object.keys(changed).map((name) => [name, were?.[name]])) };
    const differences = differencesOf(then, values);
    if (revision > 1 && differences.length)
      applied.push({ key: `${side}${revision}`, revision, batch, by, at, effect, differences, side });
    before = values;
  }
  return applied;
}
