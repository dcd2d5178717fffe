import assert from "node:assert/strict";
import { mock, test } from "node:test";
import { ClockOffset } from "../../web/client/clock.js";
import { RivuletError } from "../../web/client/errors.js";
import { Subscription } from "../../web/client/subscription.js";
import { publication } from "./fake_socket.js";

function make(options = { since: "earliest" }, command = async () => ({})) {
  const subscription = new Subscription({
    sub: 1,
    stream: "j/out",
    options,
    command,
    retry_in_ms: () => 100,
    clock: new ClockOffset(),
  });
  const heard = [];
  for (const name of ["publication", "gap", "violation", "ended"])
    subscription.on(name, (detail) => heard.push([name, detail]));
  return { subscription, heard };
}

function live(offset = 0) {
  const made = make();
  made.subscription.take({ type: "subscribed", epoch: "e", offset });
  return made;
}

test("what lies end to end is handed on, and the position follows", () => {
  const { subscription, heard } = live(2);
  subscription.take(publication(3));
  subscription.take(publication(7, { from: 4 }));
  subscription.take({ type: "gap", epoch: "e", from: 8, to: 10, reason: "overflow" });
  subscription.take(publication(11));
  assert.deepEqual(
    heard.map(([name]) => name),
    ["publication", "publication", "gap", "publication"],
  );
  assert.deepEqual(subscription.position, { epoch: "e", offset: 11 });
  assert.deepEqual(subscription.counts, {
    publications: 3,
    rows: 6,
    merged: 3,
    gaps: 1,
    missing: 3,
    overflowed: 3,
    epochs: 0,
    repeats: 0,
    violations: 0,
  });
});

test("a hole that nobody announced is a violation, and told with what was expected", () => {
  const { subscription, heard } = live();
  subscription.take(publication(1));
  subscription.take(publication(3));
  assert.deepEqual(
    heard.map(([name]) => name),
    ["publication", "violation", "publication"],
  );
  assert.deepEqual(heard[1][1].expected, { epoch: "e", offset: 2 });
});

test("a repeat is a violation and not handed on", () => {
  const { subscription, heard } = live();
  subscription.take(publication(1));
  subscription.take(publication(1));
  assert.deepEqual(
    heard.map(([name]) => name),
    ["publication", "violation"],
  );
  assert.equal(subscription.counts.repeats, 1);
});

test("an epoch may change by a gap only", () => {
  const { subscription, heard } = live(5);
  subscription.take({ type: "gap", epoch: "f", from: 1, to: 2, reason: "epoch" });
  subscription.take(publication(3, { epoch: "f" }));
  subscription.take(publication(4, { epoch: "g" }));
  assert.deepEqual(
    heard.map(([name]) => name),
    ["gap", "publication", "violation", "publication"],
  );
  assert.equal(subscription.counts.epochs, 1);
});

test("the first epoch of a stream is no gap", () => {
  const { subscription, heard } = make();
  subscription.take({ type: "subscribed", epoch: "", offset: 0 });
  subscription.take({ type: "gap", epoch: "e", from: 1, to: 0, reason: "epoch" });
  subscription.take(publication(1));
  assert.deepEqual(
    heard.map(([name]) => name),
    ["publication"],
  );
});

test("a refusal that may pass is tried again, another ends it", async () => {
  mock.timers.enable({ apis: ["setTimeout"] });
  const codes = ["unavailable", "not_found"];
  const asked = [];
  const { subscription, heard } = make(undefined, async (frame) => {
    asked.push(frame);
    throw new RivuletError({ code: codes[asked.length - 1], title: "t", detail: "there is no such stream" });
  });
  await subscription.open();
  assert.equal(subscription.state, "pending");
  const ended = new Promise((resolve) => subscription.on("ended", resolve));
  mock.timers.tick(100);
  assert.equal((await ended).reason, "there is no such stream");
  assert.equal(subscription.state, "ended");
  assert.equal(heard.at(-1)[0], "ended");
  mock.timers.reset();
});

test("what was published before we asked says nothing about the lag", async () => {
  const { subscription } = make();
  await subscription.open();
  subscription.take({ type: "subscribed", epoch: "e", offset: 0 });
  subscription.take(publication(1, { published_at: "2020-01-01T00:00:00Z" }));
  assert.equal(subscription.lag_ms.size, 0);
  subscription.take(publication(2, { published_at: new Date(Date.now() + 5).toISOString() }));
  assert.equal(subscription.lag_ms.size, 1);
});

test("a clock that is ahead is found out and taken off", async () => {
  const { subscription } = make({ since: "latest" });
  await subscription.open();
  subscription.take({ type: "subscribed", epoch: "e", offset: 0 });
  // The gateway's clock is an hour behind ours: what it has just published seems an hour old.
  for (let offset = 1; offset <= 3; offset++)
    subscription.take(publication(offset, { published_at: new Date(Date.now() - 3_600_000).toISOString() }));
  assert.ok(subscription.lag_ms.size >= 1);
  assert.ok(subscription.lag_ms.quantile(0.95) < 1000);
});

test("after the end nothing is handed on", () => {
  const { subscription, heard } = live();
  subscription.take({ type: "subscription_ended", sub: 1, reason: "the job is gone", last_offset: 0 });
  subscription.take(publication(1));
  assert.deepEqual(
    heard.map(([name]) => name),
    ["ended"],
  );
});

test("a fork takes it along: it is another stream's from there, and that is what the next connection asks for", async () => {
  const asked = [];
  const { subscription, heard } = make({ since: "latest", format: "columns" }, async (frame) => asked.push(frame));
  const moves = [];
  subscription.on("moved", (frame) => moves.push(frame));
  subscription.take({ type: "subscribed", epoch: "e", offset: 4 });
  subscription.take({ type: "gap", epoch: "f", from: 1, to: 0, reason: "epoch" });
  subscription.take({ type: "subscription_moved", sub: 1, stream: "mine/out", epoch: "f", offset: 0 });
  subscription.take(publication(1, { epoch: "f" }));
  assert.deepEqual(
    heard.map(([name]) => name),
    ["gap", "publication"],
  );
  assert.equal(moves[0].stream, "mine/out");
  assert.equal(subscription.stream, "mine/out");
  assert.equal(subscription.counts.missing, 0);
  subscription.interrupt();
  await subscription.open();
  const { stream, since, format } = asked.at(-1);
  assert.deepEqual({ stream, since, format }, { stream: "mine/out", since: { epoch: "f", offset: 1 }, format: "columns" });
});

test("a move to where it does not stand is a violation", () => {
  const { subscription, heard } = live(4);
  subscription.take({ type: "subscription_moved", sub: 1, stream: "mine/out", epoch: "f", offset: 0 });
  assert.deepEqual(
    heard.map(([name]) => name),
    ["violation"],
  );
  assert.deepEqual(subscription.position, { epoch: "f", offset: 0 });
});
