import assert from "node:assert/strict";
import { test } from "node:test";
import { faultsByField, fieldsOf, groupsOf } from "../../web/live/schema.js";

const one = (property) => fieldsOf({ properties: { p: property } })[0];

for (const [name, property, kind] of [
  ["a bounded number", { type: "number", minimum: 0, maximum: 1 }, "slider"],
  ["a bounded integer", { type: "integer", minimum: 0, maximum: 9 }, "slider"],
  ["an integer with one bound", { type: "integer", minimum: 0 }, "number"],
  ["a slider that has no bounds to slide between", { type: "integer", minimum: 0, "x-widget": "slider" }, "number"],
  ["a number with more steps than a slider has room for", { type: "integer", minimum: 1, maximum: 1e6 }, "number"],
  [
    "such a number where a slider is asked for",
    { type: "integer", minimum: 1, maximum: 1e6, "x-widget": "slider" },
    "slider",
  ],
  ["a bounded number that is to be typed", { type: "number", minimum: 0, maximum: 1, "x-widget": "number" }, "number"],
  ["a boolean", { type: "boolean" }, "switch"],
  ["few choices", { type: "string", enum: ["a", "b", "c"] }, "radio"],
  ["many choices", { type: "string", enum: ["a", "b", "c", "d"] }, "select"],
  ["few choices as a list", { enum: ["a", "b"], "x-widget": "select" }, "select"],
  ["a choice of several", { type: "array", items: { enum: ["a", "b"] } }, "checks"],
  ["a list", { type: "array", items: { type: "string" } }, "list"],
  ["a list of rows", { type: "array", items: { type: "object", properties: {} } }, "table"],
  ["a duration", { type: "string", format: "duration" }, "duration"],
  ["a text", { type: "string" }, "text"],
  ["an optional number", { anyOf: [{ type: "number", minimum: 0, maximum: 1 }, { type: "null" }] }, "slider"],
  ["an optional text", { type: ["string", "null"] }, "text"],
]) {
  test(`${name} is a ${kind}`, () => assert.equal(one(property).kind, kind));
}

test("what may be null says so", () => {
  assert.equal(one({ type: ["string", "null"] }).nullable, true);
  assert.equal(one({ type: "string" }).nullable, false);
});

test("fields come in their order, in groups", () => {
  const fields = fieldsOf({
    required: ["b"],
    properties: {
      a: { type: "string", "x-order": 2, "x-group": "Two" },
      b: { type: "number", "x-order": 0, "x-group": "One", "x-unit": "s", "x-live": true },
      stop_words: { type: "string", "x-order": 1, "x-group": "One" },
    },
  });
  assert.deepEqual(
    fields.map(({ name }) => name),
    ["b", "stop_words", "a"],
  );
  assert.deepEqual(
    groupsOf(fields).map(({ group, fields: members }) => [group, members.length]),
    [
      ["One", 2],
      ["Two", 1],
    ],
  );
  assert.deepEqual(
    [fields[0].unit, fields[0].effect, fields[0].required, fields[1].title],
    ["s", "live", true, "Stop words"],
  );
});

test("a fault is shown at its field, whichever way its path begins", () => {
  const { by_field, others } = faultsByField(
    [
      { path: "$.parameters.threshold", detail: "too big" },
      { path: "$.metrics[2]", detail: "unknown" },
      { path: "$.values.metrics", detail: "too few" },
      { path: "$.tresholt", detail: "there is no such parameter" },
      { detail: "not now" },
    ],
    ["threshold", "metrics"],
  );
  assert.deepEqual(by_field, { threshold: "too big", metrics: "unknown; too few" });
  assert.deepEqual(others, ["tresholt: there is no such parameter", "not now"]);
});

test("what a change of a parameter does", () => {
  const effects = fieldsOf({
    properties: { a: { "x-live": true }, b: { "x-live": false }, c: { "x-live": false, "x-effect": "reset" } },
  }).map(({ effect }) => effect);
  assert.deepEqual(effects, ["live", "restart", "reset"]);
  assert.equal(fieldsOf({ properties: { $max_rows: {} } })[0].title, "Max rows");
});
