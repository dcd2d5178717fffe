import assert from "node:assert/strict";
import { test } from "node:test";
import { appliedChanges } from "../../web/live/changes.js";

const row = (revision, batch, values, changed, state = "applied") => ({
  kind: "parameters",
  state,
  revision,
  batch,
  by: "ada",
  at: "2026-01-01T00:00:00Z",
  effect: "live",
  values: JSON.stringify(values),
  changed: JSON.stringify(changed),
});

test("a change tells what it was before, and what the job started with is none", () => {
  const changes = appliedChanges([
    row(1, 0, { t: 3, m: ["a"] }, {}),
    row(2, null, { t: 4, m: ["a"] }, { t: 4 }, "accepted"),
    row(2, 17, { t: 4, m: ["a"] }, { t: 4 }),
  ]);
  assert.deepEqual(
    changes.map(({ revision, batch, differences }) => ({ revision, batch, differences })),
    [{ revision: 2, batch: 17, differences: [{ name: "t", before: 3, after: 4 }] }],
  );
});

test("what was superseded on the way is part of the change that was applied", () => {
  const changes = appliedChanges([row(1, 0, { t: 3, m: 1 }, {}), row(3, 9, { t: 5, m: 2 }, { m: 2 })]);
  assert.deepEqual(changes[0].differences, [
    { name: "t", before: 3, after: 5 },
    { name: "m", before: 1, after: 2 },
  ]);
});

test("where the beginning is not kept, the first change tells only what it became", () => {
  assert.deepEqual(appliedChanges([row(5, 40, { t: 2, m: 1 }, { t: 2 })])[0].differences, [
    { name: "t", before: undefined, after: 2 },
  ]);
});

test("a change that is told again by a replay is the same change", () => {
  const rows = [row(1, 0, { t: 1 }, {}), row(2, 3, { t: 2 }, { t: 2 }), row(2, 3, { t: 2 }, { t: 2 })];
  assert.equal(appliedChanges(rows).length, 1);
  assert.deepEqual(appliedChanges(rows)[0].differences, [{ name: "t", before: 1, after: 2 }]);
});

test("lifecycle rows are passed over", () => {
  assert.deepEqual(appliedChanges([{ kind: "job", state: "running" }]), []);
});
