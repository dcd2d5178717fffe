const MAX_CHANGES = 200;

/**
 * A change of parameters that took effect.
 *
 * @typedef {{revision: number, batch: number, by: string, at: string, effect: string,
 *   differences: {name: string, before: any, after: any}[]}} Change
 */

/**
 * The applied changes in a job's `$events`, oldest first, each with what it changed from and to.
 *
 * @param {object[]} rows of `$events`, oldest first
 * @returns {Change[]}
 */
export function appliedChanges(rows) {
  const changes = new Map();
  let before;
  let last_revision; // a restart tells again of the revision in force
  for (const row of rows) {
    if (row.kind !== "parameters" || row.state !== "applied" || row.revision === last_revision) continue;
    last_revision = row.revision;
    const values = parse(row.values);
    const changed = Object.keys(parse(row.changed));
    // Several changes between two batches are applied together: the values tell more than what the last one changed.
    const names = before ? Object.keys(values).filter((name) => !same(values[name], before[name])) : changed;
    const differences = (names.length ? names : changed).map((name) => ({
      name,
      before: before?.[name],
      after: values[name],
    }));
    if (row.batch != null && row.revision > 1 && differences.length) {
      changes.set(row.revision, {
        revision: row.revision,
        batch: row.batch,
        by: row.by,
        at: row.at,
        effect: row.effect,
        differences,
      });
    }
    before = values;
  }
  return [...changes.values()].slice(-MAX_CHANGES);
}

function parse(text) {
  return typeof text === "string" ? JSON.parse(text) : (text ?? {});
}

function same(a, b) {
  return JSON.stringify(a) === JSON.stringify(b);
}
