import assert from "node:assert/strict";
import { test } from "node:test";
import * as format from "../../web/live/format.js";

const table = (name, read, rows) => {
  for (const [given, expected] of rows)
    test(`${name}: ${JSON.stringify(given)} is ${expected}`, () => assert.equal(read(given), expected));
};

table("number", format.number, [
  [0, "0"],
  [3, "3"],
  [3.14159, "3.14"],
  [31.4159, "31.4"],
  [1234, "1234"],
  [12_345, "12.3k"],
  [5e6, "5.00M"],
  [-0.001, "0.00"],
  [-2.5, "−2.50"],
  [null, "–"],
  [NaN, "–"],
]);
table("milliseconds", format.milliseconds, [
  [0.2, "<1 ms"],
  [12.4, "12 ms"],
  [65_000, "1 min 05 s"],
  [undefined, "–"],
]);
table("duration", format.duration, [
  [5, "5 s"],
  [95, "1 min 35 s"],
  [7260, "2 h 01 min"],
  [180_000, "2 d 2 h"],
  [NaN, "–"],
]);
table("isoDuration", format.isoDuration, [
  ["PT1M", "1 min"],
  ["PT90S", "90 s"],
  ["PT0.5S", "500 ms"],
  ["P1D", "1 d"],
  ["PT1H30M", "90 min"],
  ["5 min", "5 min"],
]);
table("value", format.value, [
  [true, "on"],
  [null, "default"],
  [["a", "b"], "a, b"],
  [[], "none"],
  ["PT60S", "1 min"],
  [2.5, "2.5"],
]);
table("cell", format.cell, [
  [null, ""],
  [1.23456, "1.23"],
  [42, "42"],
  ["x", "x"],
  [{ a: 1 }, '{"a":1}'],
]);

test("a scaled quantity has its letter at the unit", () => {
  assert.equal(format.quantity(2_500_000, "B/s"), "2.50 MB/s");
  assert.equal(format.quantity(42, "%"), "42 %");
  assert.equal(format.quantity(undefined, "%"), "–");
});

test("a difference of lists names what went and what came", () => {
  assert.equal(format.difference(["a", "b"], ["b", "c"]), "− a, + c");
  assert.equal(format.difference(3, 4.5), "3 → 4.5");
  assert.equal(format.difference(undefined, 4.5), "→ 4.5");
});
