import assert from "node:assert/strict";
import { beforeEach, mock, test } from "node:test";
import { Connection, RivuletError } from "../../web/client/index.js";
import { FakeSocket, publication, settled } from "./fake_socket.js";

let connection;

beforeEach(() => {
  mock.timers.reset();
  mock.timers.enable({ apis: ["setTimeout"] });
  FakeSocket.all = [];
  connection = new Connection({ url: "ws://gateway/ws", WebSocket: FakeSocket, random: () => 1 }).open();
  FakeSocket.last.welcome();
});

function live(options) {
  const subscription = connection.subscribe("j/out", options);
  FakeSocket.last.subscribed();
  return subscription;
}

/** Lose the connection, and have it back. */
function reconnect() {
  FakeSocket.last.drop();
  connection.retryNow();
  FakeSocket.last.welcome();
}

const sent = (type) => FakeSocket.last.sent.filter((frame) => frame.type === type);

test("options go along with the subscription, and what is in force comes back", () => {
  const options = {
    overflow: "conflate",
    where: [["cpu", "=", "cpu1"]],
    select: ["cpu", "load"],
    every_ms: 500,
    key: ["cpu"],
  };
  const subscription = connection.subscribe("j/out", { ...options, format: "columns" });
  const { id, ...asked } = FakeSocket.last.command("subscribe");
  assert.deepEqual(asked, {
    type: "subscribe",
    sub: 1,
    stream: "j/out",
    since: "latest",
    format: "columns",
    ...options,
  });
  FakeSocket.last.subscribed({ overflow: "conflate", key: ["cpu"], credit: null });
  assert.equal(subscription.overflow, "conflate");
  assert.deepEqual(subscription.key, ["cpu"]);
});

test("a change is made in place, and the account goes on", async () => {
  const subscription = live({ every_ms: 100 });
  const violations = [];
  subscription.on("violation", (violation) => violations.push(violation));
  FakeSocket.last.receive(publication(1));
  const changed = subscription.resubscribe({ every_ms: 0, select: null });
  await settled();
  const { id, ...asked } = FakeSocket.last.command("resubscribe");
  assert.deepEqual(asked, { type: "resubscribe", sub: 1, every_ms: 0, select: null });
  // The reply overtakes what was handed over before it.
  FakeSocket.last.answer("resubscribe", {
    type: "subscribed",
    sub: 1,
    epoch: "e",
    offset: 3,
    overflow: "latest",
    key: [],
  });
  FakeSocket.last.receive(publication(2));
  FakeSocket.last.receive(publication(4, { from: 3 }));
  assert.equal((await changed).offset, 3);
  assert.deepEqual(violations, []);
  assert.deepEqual(subscription.position, { epoch: "e", offset: 4 });
  assert.equal(subscription.overflow, "latest");
});

test("after a reconnect the changed options hold; what is null is left out", async () => {
  const subscription = live({ every_ms: 100, where: [["x", ">", 1]], overflow: "end" });
  const changed = subscription.resubscribe({ every_ms: 2000, overflow: null });
  await settled();
  FakeSocket.last.answer("resubscribe", { type: "subscribed", sub: 1, epoch: "e", offset: 0 });
  await changed;
  reconnect();
  const { id, ...asked } = FakeSocket.last.command("subscribe");
  assert.deepEqual(asked, {
    type: "subscribe",
    sub: 1,
    stream: "j/out",
    since: { epoch: "e", offset: 0 },
    every_ms: 2000,
    where: [["x", ">", 1]],
  });
});

test("a change that the connection was lost with holds from the next one on", async () => {
  const subscription = live({});
  const changed = subscription.resubscribe({ every_ms: 2000 });
  await settled();
  reconnect();
  await settled();
  assert.equal(FakeSocket.last.command("subscribe").every_ms, 2000);
  FakeSocket.last.subscribed({ offset: 7 });
  assert.equal((await changed).offset, 7);
  assert.deepEqual(sent("resubscribe"), []);
});

test("without a connection a change waits for it", async () => {
  const subscription = live({});
  FakeSocket.last.drop();
  const changed = subscription.resubscribe({ every_ms: 2000, credit: 3 });
  await settled();
  connection.retryNow();
  FakeSocket.last.welcome();
  const { every_ms, credit } = FakeSocket.last.command("subscribe");
  assert.deepEqual({ every_ms, credit }, { every_ms: 2000, credit: 3 });
  FakeSocket.last.subscribed();
  await changed;
});

test("a change made while the gateway is being asked for the stream follows it", async () => {
  const subscription = connection.subscribe("j/out", {});
  const changed = subscription.resubscribe({ every_ms: 500 });
  await settled();
  assert.deepEqual(sent("resubscribe"), []);
  FakeSocket.last.subscribed();
  await settled();
  assert.equal(FakeSocket.last.command("resubscribe").every_ms, 500);
  FakeSocket.last.answer("resubscribe", { type: "subscribed", sub: 1, epoch: "e", offset: 0 });
  await changed;
});

test("a refused change is told with its fault, and the options before stay", async () => {
  const subscription = live({ select: ["a"] });
  const changed = subscription.resubscribe({ select: ["nope"], every_ms: 5 });
  await settled();
  FakeSocket.last.answer("resubscribe", {
    type: "error",
    code: "invalid_frame",
    title: "t",
    detail: "there is no column 'nope'",
    path: "$.select[0]",
  });
  await assert.rejects(changed, (error) => error instanceof RivuletError && error.path === "$.select[0]");
  reconnect();
  const { select, every_ms } = FakeSocket.last.command("subscribe");
  assert.deepEqual({ select, every_ms }, { select: ["a"], every_ms: undefined });
});

test("changes are made one after the other", async () => {
  const subscription = live({});
  const first = subscription.resubscribe({ every_ms: 1 });
  const second = subscription.resubscribe({ every_ms: 2 });
  await settled();
  assert.equal(sent("resubscribe").length, 1);
  FakeSocket.last.answer("resubscribe", { type: "subscribed", sub: 1, epoch: "e", offset: 0 });
  await first;
  await settled();
  FakeSocket.last.answer("resubscribe", { type: "subscribed", sub: 1, epoch: "e", offset: 0 });
  await second;
  assert.deepEqual(
    sent("resubscribe").map(({ every_ms }) => every_ms),
    [1, 2],
  );
});

test("another credit replaces what was left: what was handed over before does not count against it", async () => {
  const subscription = live({ credit: 4 });
  FakeSocket.last.receive(publication(1));
  const changed = subscription.resubscribe({ credit: 10 });
  await settled();
  FakeSocket.last.receive(publication(2)); // half of the old window: not granted, since it would come on top of the new one
  FakeSocket.last.answer("resubscribe", { type: "subscribed", sub: 1, epoch: "e", offset: 3, credit: 10 });
  await changed;
  FakeSocket.last.receive(publication(3)); // overtaken by the reply
  assert.equal(subscription.credit, 10);
  for (let offset = 4; offset <= 7; offset++) FakeSocket.last.receive(publication(offset));
  assert.equal(subscription.credit, 6);
  assert.deepEqual(sent("request"), []);
  FakeSocket.last.receive(publication(8));
  assert.deepEqual(
    sent("request").map(({ n }) => n),
    [5],
  );
});

test("what is asked for after another credit comes on top of it", async () => {
  const subscription = live({ credit: 4 });
  const changed = subscription.resubscribe({ credit: 0 });
  subscription.request(2);
  await settled();
  assert.deepEqual(sent("request"), []);
  FakeSocket.last.answer("resubscribe", { type: "subscribed", sub: 1, epoch: "e", offset: 0, credit: 0 });
  await changed;
  await settled();
  assert.deepEqual(
    sent("request").map(({ n }) => n),
    [2],
  );
  assert.equal(subscription.credit, 2);
});

test("a degraded subscription says so, and asks for no more than it has", async () => {
  const subscription = live({ overflow: "block" });
  const told = new Promise((resolve) => subscription.on("degraded", resolve));
  FakeSocket.last.receive({
    type: "subscription_degraded",
    sub: 1,
    overflow: "drop_oldest",
    reason: "it held the job back for 30 s",
  });
  assert.match((await told).reason, /held the job back/);
  assert.equal(subscription.overflow, "drop_oldest");
  reconnect();
  assert.equal(FakeSocket.last.command("subscribe").overflow, "drop_oldest");
});

test("an ended subscription says why and up to where, and takes no change", async () => {
  const subscription = live({ overflow: "end" });
  const told = new Promise((resolve) => subscription.on("ended", resolve));
  FakeSocket.last.receive({ type: "subscription_ended", sub: 1, reason: "overflow: 3 publications", last_offset: 12 });
  assert.deepEqual(await told, { reason: "overflow: 3 publications", last_offset: 12 });
  await assert.rejects(subscription.resubscribe({ every_ms: 1 }), /has ended/);
  reconnect();
  assert.equal(FakeSocket.last.command("subscribe"), undefined);
});

test("one that ends while a change waits rejects it with the reason", async () => {
  const subscription = live({});
  FakeSocket.last.drop();
  const changed = subscription.resubscribe({ select: ["nope"] });
  await settled();
  connection.retryNow();
  FakeSocket.last.welcome();
  FakeSocket.last.answer("subscribe", { type: "error", code: "invalid_frame", title: "t", detail: "no column 'nope'" });
  await assert.rejects(changed, /no column 'nope'/);
  assert.equal(subscription.state, "ended");
});
