import assert from "node:assert/strict";
import { test } from "node:test";
import { fullJitter, within } from "../../web/client/backoff.js";

test("the ceiling doubles with every attempt, up to the cap", () => {
  const ceilings = [0, 1, 2, 3, 10, 5000].map((attempt) =>
    fullJitter(attempt, { base_ms: 500, cap_ms: 3000, random: () => 1 }),
  );
  assert.deepEqual(ceilings, [500, 1000, 2000, 3000, 3000, 3000]);
});

test("the jitter is full: from nothing to the ceiling", () => {
  assert.equal(fullJitter(4, { random: () => 0 }), 0);
  assert.equal(fullJitter(1, { base_ms: 1000, random: () => 0.25 }), 500);
});

test("a window that the gateway asked for is kept to", () => {
  assert.equal(
    within([200, 800], () => 0),
    200,
  );
  assert.equal(
    within([200, 800], () => 1),
    800,
  );
});
