import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

/** The page, of which only its visibility is asked. */
const page = new (class extends EventTarget {
  hidden = false;
})();
globalThis.document = page;
const { keepTo, outputPace, pace, pace_ms } = await import("../../web/live/pace.js");

function hide(hidden) {
  page.hidden = hidden;
  page.dispatchEvent(new Event("visibilitychange"));
}

class Asked {
  changes = [];
  async resubscribe(options) {
    this.changes.push(options);
  }
}

beforeEach(() => {
  hide(false);
  pace_ms.value = 0;
});

test("a page that is looked at has everything as it is made; a hidden one, a little every 5 s", () => {
  assert.equal(pace(0), 0);
  hide(true);
  assert.equal(pace(0), 5000);
  assert.equal(pace(15_000), 15_000);
});

for (const [mode, every_ms, overflow] of [
  ["append", 0, "drop_oldest"],
  ["append", 1000, "drop_oldest"],
  ["update", 0, "drop_oldest"],
  ["update", 1000, "drop_oldest"],
  ["complete", 0, "drop_oldest"],
  ["complete", 1000, "latest"],
]) {
  test(`an output in ${mode} mode at ${every_ms} ms is asked for with ${overflow}`, () => {
    pace_ms.value = every_ms;
    assert.deepEqual(outputPace({ mode }), { every_ms, overflow });
  });
}

test("a subscription follows what is wanted, is left alone while that stays, and when it is let go", () => {
  const subscription = new Asked();
  const end = keepTo(subscription, () => ({ every_ms: pace(pace_ms.value) }));
  assert.deepEqual(subscription.changes, []);
  hide(true);
  pace_ms.value = 1000; // slower than that already
  hide(false);
  end();
  hide(true);
  assert.deepEqual(subscription.changes, [{ every_ms: 5000 }, { every_ms: 1000 }]);
});
