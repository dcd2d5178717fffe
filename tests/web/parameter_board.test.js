import assert from "node:assert/strict";
import { beforeEach, mock, test } from "node:test";
import { Emitter } from "../../web/client/emitter.js";
import { ConnectionLost, RivuletError } from "../../web/client/errors.js";
import { ParameterBoard } from "../../web/live/parameter_board.js";

/** A connection whose replies are given by the test. */
class Gateway extends Emitter {
  asked = [];
  commands = [];
  setParameters = (_job, values, options) =>
    new Promise((resolve, reject) => this.asked.push({ values, options, resolve, reject }));
  command = (frame) => {
    if (frame.type === "get_parameters") return Promise.resolve(this.stored);
    return new Promise((resolve, reject) => this.commands.push({ frame, resolve, reject }));
  };
}

const settled = () => new Promise((resolve) => setImmediate(resolve));
const job = { id: "1", name: "j", revision: 1, values: { t: 3, m: "a" } };
let gateway;
let board;

beforeEach(() => {
  mock.timers.reset();
  mock.timers.enable({ apis: ["setTimeout"] });
  gateway = new Gateway();
  board = new ParameterBoard(gateway, job);
});

async function accept(index, revision, values) {
  gateway.asked[index].resolve({ revision, values, effect: "live" });
  await settled();
}

const push = (state, revision, values, changed, more = {}) =>
  gateway.emit("parameters", { job: "j", state, revision, values, changed, by: "ada", effect: "live", ...more });

test("what is dragged is sent once, when it rests, with the newest value", async () => {
  for (const value of [3.1, 3.2, 3.3]) {
    board.change("t", value);
    mock.timers.tick(60);
  }
  assert.equal(gateway.asked.length, 0);
  assert.equal(board.shown.value.t, 3.3);
  assert.equal(board.status.value.t.state, "pending");
  mock.timers.tick(100);
  assert.deepEqual(
    gateway.asked.map(({ values }) => values),
    [{ t: 3.3 }],
  );
});

test("one command is under way at a time, and the last value always follows", async () => {
  board.change("t", 4);
  mock.timers.tick(100);
  board.change("t", 5);
  board.change("m", "b");
  mock.timers.tick(100);
  assert.equal(gateway.asked.length, 1);
  await accept(0, 2, { t: 4, m: "a" });
  assert.deepEqual(gateway.asked[1].values, { t: 5, m: "b" });
  assert.equal(board.shown.value.t, 5);
});

test("accepted, then applied with revision and batch", async () => {
  board.change("t", 4);
  mock.timers.tick(100);
  await accept(0, 2, { t: 4, m: "a" });
  assert.deepEqual([board.status.value.t.state, board.status.value.t.revision], ["accepted", 2]);
  assert.equal(board.applied.value.revision, 1);
  push("applied", 2, { t: 4, m: "a" }, { t: 4 }, { batch: 17 });
  const { state, revision, batch, by } = board.status.value.t;
  assert.deepEqual({ state, revision, batch, by }, { state: "applied", revision: 2, batch: 17, by: undefined });
  assert.deepEqual(board.applied.value, { revision: 2, values: { t: 4, m: "a" } });
});

test("pushes that overtake the reply are not taken for somebody else's", async () => {
  board.change("t", 4);
  mock.timers.tick(100);
  push("accepted", 2, { t: 4, m: "a" }, { t: 4 });
  push("applied", 2, { t: 4, m: "a" }, { t: 4 }, { batch: 17 });
  await accept(0, 2, { t: 4, m: "a" });
  assert.equal(board.status.value.t.state, "applied");
  assert.equal(board.status.value.t.by, undefined);
});

test("a refusal is shown at its field, which keeps what was typed until it is given up", async () => {
  board.change("t", 99);
  mock.timers.tick(100);
  gateway.asked[0].reject(
    new RivuletError({
      code: "invalid_parameters",
      title: "t",
      detail: "d",
      errors: [{ path: "$.t", detail: "at most 8" }],
    }),
  );
  await settled();
  assert.deepEqual(
    [board.status.value.t.state, board.status.value.t.reason, board.shown.value.t],
    ["refused", "at most 8", 99],
  );
  board.discard("t");
  assert.equal(board.shown.value.t, 3);
  assert.equal(board.status.value.t, undefined);
});

test("what was sent along with a fault and is none itself is sent again", async () => {
  board.change("t", 99);
  board.change("m", "b");
  mock.timers.tick(100);
  gateway.asked[0].reject(
    new RivuletError({
      code: "invalid_parameters",
      title: "t",
      detail: "d",
      errors: [{ path: "$.t", detail: "at most 8" }],
    }),
  );
  await settled();
  assert.deepEqual(gateway.asked[1].values, { m: "b" });
  assert.equal(board.status.value.t.state, "refused");
});

test("a lost connection is told at the field", async () => {
  board.change("t", 4);
  mock.timers.tick(100);
  gateway.asked[0].reject(new ConnectionLost());
  await settled();
  assert.equal(board.status.value.t.state, "refused");
  assert.match(board.status.value.t.reason, /connection/);
});

test("another user's change appears with who made it", () => {
  push("accepted", 2, { t: 7, m: "a" }, { t: 7 }, { by: "grace" });
  push("applied", 2, { t: 7, m: "a" }, { t: 7 }, { by: "grace", batch: 3 });
  const { state, by, batch } = board.status.value.t;
  assert.deepEqual(
    { state, by, batch, shown: board.shown.value.t },
    { state: "applied", by: "grace", batch: 3, shown: 7 },
  );
});

test("another user's change does not take away what is being changed here", () => {
  board.change("t", 4);
  push("accepted", 2, { t: 7, m: "b" }, { t: 7, m: "b" }, { by: "grace" });
  assert.deepEqual(board.shown.value, { t: 4, m: "b" });
});

test("several revisions between two batches are applied together", async () => {
  board.change("t", 4);
  mock.timers.tick(100);
  await accept(0, 2, { t: 4, m: "a" });
  board.change("m", "b");
  mock.timers.tick(100);
  await accept(1, 3, { t: 4, m: "b" });
  push("superseded", 2, { t: 4, m: "a" }, { t: 4 });
  push("applied", 3, { t: 4, m: "b" }, { m: "b" }, { batch: 9 });
  assert.deepEqual(
    ["t", "m"].map((name) => [board.status.value[name].state, board.status.value[name].batch]),
    [
      ["applied", 9],
      ["applied", 9],
    ],
  );
});

test("a change that the job rejects tells why, and what holds is shown again", async () => {
  board.change("t", 4);
  mock.timers.tick(100);
  await accept(0, 2, { t: 4, m: "a" });
  push(
    "rejected",
    2,
    { t: 4, m: "a" },
    { t: 4 },
    { reason: "the model is not there", in_force: { revision: 1, values: { t: 3, m: "a" } } },
  );
  assert.deepEqual(
    [board.status.value.t.state, board.status.value.t.reason, board.shown.value.t, board.in_force.value.revision],
    ["rejected", "the model is not there", 3, 1],
  );
  board.discard("t");
  assert.equal(board.status.value.t, undefined);
});

test("where a newer change was accepted meanwhile, that one holds in place of the rejected", async () => {
  push("accepted", 2, { t: 4, m: "a" }, { t: 4 });
  push("accepted", 3, { t: 4, m: "b" }, { m: "b" });
  push("rejected", 2, { t: 4, m: "a" }, { t: 4 }, { in_force: { revision: 3, values: { t: 4, m: "b" } } });
  assert.deepEqual(board.in_force.value, { revision: 3, values: { t: 4, m: "b" } });
  push("applied", 3, { t: 4, m: "b" }, { m: "b" }, { batch: 4 });
  assert.deepEqual([board.applied.value.revision, board.status.value.m.state], [3, "applied"]);
});

test("what is applied does not take away what was accepted after it", () => {
  push("accepted", 2, { t: 4, m: "a" }, { t: 4 });
  push("accepted", 3, { t: 5, m: "a" }, { t: 5 });
  push("applied", 2, { t: 4, m: "a" }, { t: 4 }, { batch: 4 });
  assert.deepEqual([board.shown.value.t, board.status.value.t.state, board.applied.value.revision], [5, "accepted", 2]);
});

const refusal = (code) => new RivuletError({ code, title: "t", detail: "the state cannot be kept" });

test("a change that gives up the state is only made after asking", async () => {
  board.change("t", 4);
  mock.timers.tick(100);
  gateway.asked[0].reject(refusal("reset_required"));
  await settled();
  assert.deepEqual([board.status.value.t.state, board.asking.value.values], ["asking", { t: 4 }]);
  assert.equal(gateway.asked.length, 1);
  board.answer(true);
  await settled();
  assert.deepEqual([gateway.asked[1].values, gateway.asked[1].options], [{ t: 4 }, { reset: true }]);
  await accept(1, 2, { t: 4, m: "a" });
  board.change("t", 5);
  mock.timers.tick(100);
  await settled();
  assert.deepEqual(gateway.asked[2].options, {}, "consent is for one change");
});

test("a change that is not to give up the state is not made", async () => {
  board.change("t", 4);
  mock.timers.tick(100);
  gateway.asked[0].reject(refusal("reset_required"));
  await settled();
  board.answer(false);
  await settled();
  assert.deepEqual([board.shown.value.t, board.status.value.t, board.asking.value], [3, undefined, undefined]);
  assert.equal(gateway.asked.length, 1);
});

test("an earlier revision is restored, and asked about where that gives up the state", async () => {
  board.restore(1);
  await settled();
  assert.deepEqual(gateway.commands[0].frame, { type: "revert", job: "1", revision: 1, reset: false });
  gateway.commands[0].reject(refusal("reset_required"));
  await settled();
  assert.equal(board.asking.value.revision, 1);
  board.answer(true);
  await settled();
  assert.equal(gateway.commands[1].frame.reset, true);
  push("accepted", 2, { t: 7, m: "a" }, { t: 7 });
  gateway.commands[1].resolve({ revision: 2 });
  await settled();
  assert.deepEqual([board.shown.value.t, board.status.value.t.by], [7, undefined]);
});

test("restoring waits for the change that is under way", async () => {
  board.change("t", 4);
  mock.timers.tick(100);
  board.restore(1);
  await settled();
  assert.equal(gateway.commands.length, 0);
  await accept(0, 2, { t: 4, m: "a" });
  assert.equal(gateway.commands.length, 1);
});

test("a restoring that is refused is told", async () => {
  board.restore(9);
  await settled();
  gateway.commands[0].reject(refusal("not_found"));
  await settled();
  assert.match(board.fault.value, /Revision 9 was not restored: the state/);
});

test("changes for a time are sent with it", async () => {
  board.hold_minutes.value = 5;
  board.change("t", 4);
  mock.timers.tick(100);
  await settled();
  assert.deepEqual(gateway.asked[0].options, { ttl_s: 300 });
});

test("after a time without connection what holds, and how it came to be, is asked for", async () => {
  const applied = { revision: 5, state: "applied", values: { t: 7, m: "z" }, changed: { t: 7 } };
  const accepted = { revision: 6, state: "accepted", values: { t: 8, m: "z" }, changed: { t: 8 } };
  gateway.stored = { revision: 6, values: { t: 8, m: "z" }, schema: { type: "object" }, history: [accepted, applied] };
  gateway.emit("welcome");
  await settled();
  assert.deepEqual(board.in_force.value, { revision: 6, values: { t: 8, m: "z" } });
  assert.deepEqual(board.applied.value, { revision: 5, values: { t: 7, m: "z" } });
  assert.deepEqual(board.shown.value, { t: 8, m: "z" });
  assert.deepEqual(board.schema.value, { type: "object" });
  assert.deepEqual(
    board.trail.changes.value.map(({ revision }) => revision),
    [5, 6],
  );
});

test("pushes about other jobs are none of ours", () => {
  push("applied", 2, { t: 7 }, { t: 7 }, { job: "other" });
  assert.equal(board.in_force.value.revision, 1);
});
