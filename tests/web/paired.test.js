import assert from "node:assert/strict";
import { test } from "node:test";
import { PairedSeries, switchOf, switchOfBase } from "../../web/live/paired.js";
import { Series } from "../../web/live/series.js";

const at = (second) => new Date(Date.UTC(2026, 0, 1) + second * 1000).toISOString();
const x = (second) => Date.UTC(2026, 0, 1) / 1000 + second;

function filled(keys, seconds, value_of) {
  const series = new Series({ key: ["metric"], time: "time" });
  for (const second of seconds) {
    const rows = keys.map((metric, index) => ({ time: at(second), metric, value: value_of(second, index) }));
    series.add({ batch: second, revision: 1, published_at: at(second), rows });
  }
  return series;
}

test("both jobs' lines lie on one axis of time, each with its own values", () => {
  const pair = new PairedSeries([filled(["cpu"], [1, 2, 4], (second) => second), filled(["cpu"], [2, 3], () => 9)]);
  assert.deepEqual(pair.view("value", pair.lines), [
    [x(1), x(2), x(3), x(4)],
    [1, 2, null, 4],
    [null, 9, 9, null],
  ]);
  assert.deepEqual([pair.first_x, pair.last_x], [x(1), x(4)]);
});

test("a key has one colour on both sides, and the fork is dashed", () => {
  const pair = new PairedSeries([
    filled(["cpu", "disk"], [1], () => 1),
    filled(["disk", "cpu"], [1], () => 2),
  ]);
  assert.deepEqual(
    pair.lines.map(({ label, hue, dash }) => [label, hue, dash !== undefined]),
    [
      ["cpu A", 0, false],
      ["disk A", 1, false],
      ["disk B", 1, true],
      ["cpu B", 0, true],
    ],
  );
  assert.deepEqual(pair.lines[2].switches, [switchOf("B"), switchOfBase("disk")]);
});

test("a single line each has a colour of its own", () => {
  const pair = new PairedSeries([filled([""], [1], () => 1), filled([""], [1], () => 2)]);
  assert.deepEqual(
    pair.lines.map(({ label, hue }) => [label, hue]),
    [
      ["A", 0],
      ["B", 1],
    ],
  );
});

test("figures and batches are those of the side", () => {
  const pair = new PairedSeries([filled(["cpu"], [1, 2], () => 5), filled(["cpu"], [2, 3], () => 7)]);
  const [a, b] = pair.lines;
  assert.deepEqual([pair.last(a.key, "value"), pair.last(b.key, "value")], [5, 7]);
  assert.equal(pair.summary(b.key, "value").high, 7);
  assert.deepEqual([pair.xOfBatch(2, "A"), pair.xOfBatch(3, "B"), pair.xOfBatch(3, "A")], [x(2), x(3), undefined]);
});

test("a fork without rows yet changes nothing", () => {
  const pair = new PairedSeries([filled(["cpu"], [1], () => 1), new Series({ key: ["metric"], time: "time" })]);
  assert.deepEqual(pair.view("value", pair.lines), [[x(1)], [1]]);
  assert.equal(pair.last_x, x(1));
});
