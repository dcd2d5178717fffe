import assert from "node:assert/strict";
import { test } from "node:test";
import { Series } from "../../web/live/series.js";

const at = (second) => new Date(Date.UTC(2026, 0, 1, 0, 0, 0) + second * 1000).toISOString();
const x = (second) => Date.UTC(2026, 0, 1) / 1000 + second;
const line = (key = "") => [{ key }];
const add = (series, batch, rows, second = batch) => series.add({ batch, revision: 1, published_at: at(second), rows });

test("values of a key are aligned with the times of all keys", () => {
  const series = new Series({ key: ["metric"], time: "time" });
  add(series, 1, [
    { time: at(1), metric: "a", value: 1 },
    { time: at(1), metric: "b", value: 10 },
  ]);
  add(series, 2, [{ time: at(2), metric: "a", value: 2 }]);
  assert.deepEqual(series.view("value", [{ key: "a" }, { key: "b" }]), [
    [x(1), x(2)],
    [1, 2],
    [10, null],
  ]);
  assert.equal(series.last("b", "value"), 10);
});

test("without a time column the time of publication counts", () => {
  const series = new Series({ key: [], time: null });
  add(series, 1, [{ n: 5 }], 7);
  assert.deepEqual(series.view("n", line()), [[x(7)], [5]]);
});

test("an update of an earlier time changes it, and a late row finds its place", () => {
  const series = new Series({ key: [], time: "time" });
  for (const second of [1, 3, 5]) add(series, second, [{ time: at(second), n: second }]);
  add(series, 6, [
    { time: at(3), n: 33 },
    { time: at(4), n: 4 },
    { time: at(0), n: 0 },
  ]);
  assert.deepEqual(series.view("n", line()), [
    [x(0), x(1), x(3), x(4), x(5)],
    [0, 1, 33, 4, 5],
  ]);
});

test("memory is bounded: the oldest go, the newest stay aligned", () => {
  const series = new Series({ key: [], time: "time", capacity: 10 });
  for (let second = 0; second < 1005; second++) add(series, second, [{ time: at(second), n: second }]);
  const [times, values] = series.view("n", line());
  assert.equal(series.size, 10);
  assert.deepEqual(values, [995, 996, 997, 998, 999, 1000, 1001, 1002, 1003, 1004]);
  assert.equal(times[0], x(995));
  add(series, 2000, [{ time: at(1), n: -1 }]);
  assert.equal(series.view("n", line())[1].includes(-1), false);
});

test("the line updated longest ago gives way", () => {
  const series = new Series({ key: ["k"], time: "time", max_lines: 2 });
  add(series, 1, [{ time: at(1), k: "a", n: 1 }]);
  add(series, 2, [{ time: at(2), k: "b", n: 2 }]);
  add(series, 3, [
    { time: at(3), k: "a", n: 3 },
    { time: at(3), k: "c", n: 4 },
  ]);
  assert.deepEqual(
    series.lines.map(({ key }) => key),
    ["a", "c"],
  );
  assert.equal(series.evicted, 1);
});

test("a view from a time on keeps one point before it", () => {
  const series = new Series({ key: [], time: "time" });
  for (let second = 0; second < 10; second++) add(series, second, [{ time: at(second), n: second }]);
  assert.deepEqual(series.view("n", line(), x(7))[1], [6, 7, 8, 9]);
});

test("a batch is found where its rows begin to be", () => {
  const series = new Series({ key: [], time: "time" });
  add(series, 10, [{ time: at(1), n: 1 }]);
  add(series, 11, []);
  add(series, 13, [{ time: at(3), n: 1 }]);
  assert.equal(series.xOfBatch(9), undefined); // forgotten, or of before our time
  assert.equal(series.xOfBatch(10), x(1));
  assert.equal(series.xOfBatch(12), x(3));
  assert.equal(series.xOfBatch(14), undefined); // not there yet
});

test("a gap reaches from the last point before it to the first after it", () => {
  const series = new Series({ key: [], time: "time" });
  add(series, 1, [{ time: at(1), n: 1 }]);
  series.addGap({ from: 2, to: 4, reason: "retention" });
  assert.ok(Number.isNaN(series.gaps[0].to_x));
  add(series, 9, [{ time: at(9), n: 1 }]);
  assert.deepEqual(series.gaps, [{ from_x: x(1), to_x: x(9), missing: 3, reason: "retention" }]);
});

test("figures over all that is kept", () => {
  const series = new Series({ key: [], time: "time" });
  for (const [second, n] of [
    [1, -4],
    [2, 2],
    [3, 5],
  ])
    add(series, second, [{ time: at(second), n }]);
  assert.deepEqual(series.summary("", "n"), { low: -4, mean: 1, high: 5 });
  assert.equal(series.peak("", "n"), 5);
  assert.deepEqual(series.summary("none", "n"), {});
});
