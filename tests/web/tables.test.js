import assert from "node:assert/strict";
import { test } from "node:test";
import { Window } from "../../web/client/lag.js";
import { startOf } from "../../web/live/history.js";
import { KeyedRows } from "../../web/live/keyed_rows.js";
import { RowRing } from "../../web/live/row_ring.js";

test("a ring keeps the newest rows under numbers that do not change", () => {
  const ring = new RowRing(3);
  for (let n = 0; n < 5; n++) ring.push({ n });
  assert.deepEqual([ring.first, ring.next, ring.size], [2, 5, 3]);
  assert.deepEqual([ring.at(1), ring.at(2).n, ring.at(4).n, ring.at(5)], [undefined, 2, 4, undefined]);
});

test("an updated key has one row, the newest", () => {
  const rows = new KeyedRows(["k"], 10);
  rows.update([
    { k: "b", n: 1 },
    { k: "a", n: 2 },
  ]);
  rows.update([{ k: "b", n: 3 }]);
  assert.deepEqual(rows.sorted(), [
    { k: "a", n: 2 },
    { k: "b", n: 3 },
  ]);
});

test("keys with numbers in them are in the order of the numbers; nothing comes last", () => {
  const rows = new KeyedRows(["k"], 10);
  rows.update([
    { k: "cpu10", n: null },
    { k: "cpu2", n: 1 },
    { k: "cpu1", n: 2 },
  ]);
  assert.deepEqual(
    rows.sorted().map(({ k }) => k),
    ["cpu1", "cpu2", "cpu10"],
  );
  assert.deepEqual(
    rows.sorted("n", 1).map(({ k }) => k),
    ["cpu2", "cpu1", "cpu10"],
  );
});

test("the key updated longest ago goes first", () => {
  const rows = new KeyedRows(["k"], 2);
  rows.update([{ k: "a" }, { k: "b" }, { k: "a" }, { k: "c" }]);
  assert.deepEqual(
    rows.sorted().map(({ k }) => k),
    ["a", "c"],
  );
});

test("a complete result replaces the one before, and keeps its order", () => {
  const rows = new KeyedRows(["word"], 10);
  rows.replace([
    { word: "z", count: 9 },
    { word: "a", count: 1 },
  ]);
  assert.deepEqual(
    rows.sorted().map(({ word }) => word),
    ["z", "a"],
  );
  rows.replace([{ word: "b", count: 1 }]);
  assert.equal(rows.size, 1);
});

test("quantiles over the last values only", () => {
  const window = new Window(100);
  assert.equal(window.quantile(0.5), undefined);
  for (let n = 1; n <= 1000; n++) window.add(n);
  assert.deepEqual(
    [window.size, window.min, window.quantile(0.5), window.quantile(0.95), window.quantile(1)],
    [100, 901, 950, 995, 1000],
  );
});

test("of a big stream a page reads as much of the end as it can take in", () => {
  const stream = { epoch: "e", offset: 1000, first_offset: 201 };
  assert.equal(startOf({ ...stream, retained_bytes: 1024 }), "earliest");
  assert.deepEqual(startOf({ ...stream, retained_bytes: 12 * 1024 * 1024 }), { epoch: "e", offset: 800 });
  assert.deepEqual(startOf({ ...stream, retained_bytes: 2 ** 40 }), { epoch: "e", offset: 999 });
  assert.equal(startOf({ ...stream, first_offset: null, retained_bytes: 0 }), "earliest");
});
