import assert from "node:assert/strict";
import { test } from "node:test";
import { appliedChanges } from "../../web/live/changes.js";

const change = (revision, batch, values, changed, { state = "applied", before = {} } = {}) => ({
  revision,
  batch,
  values,
  changed,
  before,
  state,
  by: "ada",
  at: "2026-01-01T00:00:00Z",
  effect: "live",
});

test("a change tells what it was before, and what the job started with is none", () => {
  const changes = appliedChanges([
    change(1, 0, { t: 3, m: ["a"] }, {}),
    change(2, 17, { t: 4, m: ["a"] }, { t: 4 }, { before: { t: 3 } }),
    change(3, undefined, { t: 5, m: ["a"] }, { t: 5 }, { state: "accepted" }),
  ]);
  assert.deepEqual(
    changes.map(({ key, revision, batch, differences }) => ({ key, revision, batch, differences })),
    [{ key: "2", revision: 2, batch: 17, differences: [{ name: "t", before: 3, after: 4 }] }],
  );
});

test("what was superseded on the way is part of the change that was applied", () => {
  const changes = appliedChanges([
    change(1, 0, { t: 3, m: 1 }, {}),
    change(2, undefined, { t: 5, m: 1 }, { t: 5 }, { state: "superseded", before: { t: 3 } }),
    change(3, 9, { t: 5, m: 2 }, { m: 2 }, { before: { m: 1 } }),
  ]);
  assert.deepEqual(changes[0].differences, [
    { name: "t", before: 3, after: 5 },
    { name: "m", before: 1, after: 2 },
  ]);
});

test("where the history reaches back no further, the change itself tells what it was before", () => {
  const [{ differences }] = appliedChanges([change(7, 40, { t: 2, m: 1 }, { t: 2 }, { before: { t: 9 } })]);
  assert.deepEqual(differences, [{ name: "t", before: 9, after: 2 }]);
});

test("what was applied and is taken back has had its mark, what was rejected has none", () => {
  const changes = appliedChanges([
    change(1, 0, { t: 1 }, {}),
    change(2, 3, { t: 2 }, { t: 2 }, { state: "reverted" }),
    change(3, undefined, { t: 9 }, { t: 9 }, { state: "rejected" }),
    change(4, 5, { t: 1 }, { t: 1 }),
  ]);
  assert.deepEqual(
    changes.map(({ revision, differences }) => [revision, differences[0].before, differences[0].after]),
    [
      [2, 1, 2],
      [4, 2, 1],
    ],
  );
});

test("marks of two jobs are told apart", () => {
  const [{ key, side }] = appliedChanges([change(1, 0, { t: 1 }, {}), change(2, 3, { t: 2 }, { t: 2 })], "B");
  assert.deepEqual([key, side], ["B2", "B"]);
});
