import assert from "node:assert/strict";
import { test } from "node:test";
import { Trail, differencesOf, expiries } from "../../web/live/trail.js";

const change = (revision, more = {}) => ({
  revision,
  values: { t: revision },
  changed: { t: revision },
  before: { t: revision - 1 },
  by: "ada",
  origin: "websocket 192.0.2.7",
  at: "2026-01-01T00:00:00Z",
  effect: "live",
  state: "applied",
  ...more,
});
const push = (revision, state, more = {}) => ({ job: "j", ...change(revision), state, ...more });
const told = (trail) => trail.changes.value.map(({ revision, state }) => `${revision} ${state}`);

test("the stored history comes newest first, and is kept oldest first", () => {
  const trail = new Trail();
  assert.equal(trail.known.value, false);
  trail.take([change(3), change(2, { state: "superseded" }), change(1)]);
  assert.equal(trail.known.value, true);
  assert.deepEqual(told(trail), ["1 applied", "2 superseded", "3 applied"]);
});

test("what comes meanwhile is not lost to a history that does not tell of it", () => {
  const trail = new Trail();
  trail.push(push(4, "accepted"));
  trail.take([change(3), change(2)]);
  assert.deepEqual(told(trail), ["2 applied", "3 applied", "4 accepted"]);
});

test("a change goes through its states; when it was asked for, and by whom, stays", () => {
  const trail = new Trail();
  trail.push(push(2, "accepted", { expires_at: "2026-01-01T00:05:00Z", restores: 1 }));
  trail.push({ ...push(2, "applied", { batch: 17, at: "2026-01-01T00:00:09Z" }), origin: undefined });
  const [{ state, batch, at, settled_at, by, origin, expires_at, restores }] = trail.changes.value;
  assert.deepEqual(
    { state, batch, at, settled_at, by, origin, expires_at, restores },
    {
      state: "applied",
      batch: 17,
      at: "2026-01-01T00:00:00Z",
      settled_at: "2026-01-01T00:00:09Z",
      by: "ada",
      origin: "websocket 192.0.2.7",
      expires_at: "2026-01-01T00:05:00Z",
      restores: 1,
    },
  );
  trail.push(push(2, "reverted", { reason: "its time was over" }));
  assert.equal(trail.changes.value[0].reason, "its time was over");
  assert.equal(trail.changes.value[0].batch, 17);
});

test("it is bounded: the oldest go", () => {
  const trail = new Trail();
  for (let revision = 1; revision <= 205; revision++) trail.push(push(revision, "accepted"));
  assert.equal(trail.changes.value.length, 200);
  assert.equal(trail.changes.value[0].revision, 6);
});

test("a parameter goes back when the newest change of it does, and not when that one holds for good", () => {
  const now_ms = Date.parse("2026-01-01T00:01:00Z");
  const soon = "2026-01-01T00:05:00Z";
  const held = change(2, { changed: { t: 2, m: 1 }, expires_at: soon });
  assert.deepEqual(expiries([change(1), held], now_ms), { t: soon, m: soon });
  assert.deepEqual(expiries([held, change(3)], now_ms), { m: soon });
  assert.deepEqual(expiries([{ ...held, state: "rejected" }], now_ms), {});
  assert.deepEqual(expiries([held], Date.parse(soon)), {});
});

test("where two sets of values differ", () => {
  assert.deepEqual(differencesOf({ a: 1, l: [1, 2], z: null }, { a: 2, l: [1, 2], n: 3, z: null }), [
    { name: "a", before: 1, after: 2 },
    { name: "n", before: undefined, after: 3 },
  ]);
});
