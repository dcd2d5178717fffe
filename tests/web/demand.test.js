import assert from "node:assert/strict";
import { beforeEach, mock, test } from "node:test";
import { Connection } from "../../web/client/index.js";
import { FakeSocket, publication, settled } from "./fake_socket.js";

let connection;

beforeEach(() => {
  mock.timers.reset();
  mock.timers.enable({ apis: ["setTimeout"] });
  FakeSocket.all = [];
  connection = new Connection({ url: "ws://gateway/ws", WebSocket: FakeSocket, random: () => 1 }).open();
  FakeSocket.last.welcome();
});

/** A subscription that is live from offset 0 on. */
function live(options) {
  const subscription = connection.subscribe("j/out", options);
  FakeSocket.last.subscribed();
  return subscription;
}

const come = (...offsets) => offsets.forEach((offset) => FakeSocket.last.receive(publication(offset)));
const granted = () => FakeSocket.last.sent.filter(({ type }) => type === "request").map(({ n }) => n);

test("without credit nothing is granted, because nothing is limited", async () => {
  const subscription = live({});
  come(1, 2, 3);
  subscription.request(5);
  await settled();
  assert.equal("credit" in FakeSocket.last.command("subscribe"), false);
  assert.equal(subscription.credit, null);
  assert.deepEqual(granted(), []);
});

test("a window is granted again when half of it has been dealt with", () => {
  const subscription = live({ credit: 4 });
  assert.equal(FakeSocket.last.command("subscribe").credit, 4);
  come(1);
  assert.deepEqual(granted(), []);
  come(2);
  assert.deepEqual(granted(), [2]);
  assert.equal(subscription.credit, 4);
  come(3, 4, 5);
  assert.deepEqual(granted(), [2, 2]);
});

test("gaps cost nothing", () => {
  const subscription = live({ credit: 2 });
  FakeSocket.last.receive({ type: "gap", sub: 1, epoch: "e", from: 1, to: 9, reason: "overflow" });
  assert.equal(subscription.credit, 2);
  assert.deepEqual(granted(), []);
});

test("a window of one goes on", () => {
  live({ credit: 1 });
  come(1, 2);
  assert.deepEqual(granted(), [1, 1]);
});

test("what a listener has not dealt with is not granted again, however long it takes", async () => {
  const subscription = live({ credit: 2 });
  const finish = [];
  subscription.on("publication", () => new Promise((resolve) => finish.push(resolve)));
  come(1, 2);
  await settled();
  assert.deepEqual(granted(), []);
  finish[0]();
  await settled();
  assert.deepEqual(granted(), [1]);
  assert.equal(subscription.credit, 1);
});

test("a listener that fails has dealt with it all the same", async () => {
  const uncaught = [];
  const runners = process.listeners("uncaughtException");
  process.removeAllListeners("uncaughtException");
  process.on("uncaughtException", (error) => uncaught.push(error.message));
  const subscription = live({ credit: 1 });
  subscription.on("publication", async () => {
    throw new Error("a fault of the application");
  });
  come(1);
  await settled();
  process.removeAllListeners("uncaughtException");
  for (const runner of runners) process.on("uncaughtException", runner);
  assert.deepEqual(granted(), [1]);
  assert.deepEqual(uncaught, ["a fault of the application"]);
});

test("with credit 0 nothing comes but what is asked for", async () => {
  const subscription = live({ credit: 0 });
  assert.equal(FakeSocket.last.command("subscribe").credit, 0);
  subscription.request(3);
  await settled();
  assert.deepEqual(granted(), [3]);
  come(1, 2, 3);
  assert.deepEqual(granted(), [3]);
  assert.equal(subscription.credit, 0);
});

test("n is checked before anything is sent", () => {
  const subscription = live({ credit: 0 });
  for (const n of [0, -1, 1.5, "2", NaN]) assert.throws(() => subscription.request(n), RangeError);
});

test("a new connection is told what was left of the credit", async () => {
  const subscription = live({ credit: 0 });
  subscription.request(5);
  await settled();
  come(1, 2);
  FakeSocket.last.drop();
  subscription.request(2);
  await settled();
  connection.retryNow();
  FakeSocket.last.welcome();
  const { credit, since } = FakeSocket.last.command("subscribe");
  assert.deepEqual({ credit, since }, { credit: 5, since: { epoch: "e", offset: 2 } });
  assert.deepEqual(granted(), []);
});

test("what is asked for while the gateway is being asked for the stream is granted when it has answered", async () => {
  const subscription = connection.subscribe("j/out", { credit: 0 });
  subscription.request(2);
  await settled();
  assert.deepEqual(granted(), []);
  FakeSocket.last.subscribed();
  assert.deepEqual(granted(), [2]);
  assert.equal(subscription.credit, 2);
});

test("a window is whole again on a new connection, but for what is still being dealt with", async () => {
  const subscription = live({ credit: 8 });
  const finish = [];
  subscription.on("publication", () => new Promise((resolve) => finish.push(resolve)));
  come(1, 2, 3);
  finish[0]();
  await settled();
  FakeSocket.last.drop();
  finish[1]();
  await settled();
  connection.retryNow();
  FakeSocket.last.welcome();
  assert.equal(FakeSocket.last.command("subscribe").credit, 7);
});

test("a grant that is refused is made again", async () => {
  live({ credit: 2 });
  come(1);
  FakeSocket.last.answer("request", { type: "error", code: "limit_exceeded", title: "t", detail: "d" });
  await settled();
  mock.timers.tick(1000);
  assert.deepEqual(granted(), [1, 1]);
});

test("a grant to a subscription that the gateway has ended is no fault", async () => {
  const subscription = live({ credit: 2 });
  come(1);
  FakeSocket.last.answer("request", { type: "error", code: "not_found", title: "t", detail: "d" });
  FakeSocket.last.receive({ type: "subscription_ended", sub: 1, reason: "the job is over", last_offset: 1 });
  await settled();
  mock.timers.tick(60_000);
  assert.equal(subscription.state, "ended");
  assert.deepEqual(granted(), [1]);
});
