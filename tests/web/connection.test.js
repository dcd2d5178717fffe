import assert from "node:assert/strict";
import { beforeEach, mock, test } from "node:test";
import { Connection, ConnectionLost, ConnectionState, ReplyTimeout, RivuletError } from "../../web/client/index.js";
import { CLOSE_CODES } from "../../web/generated/protocol.js";
import { FakeSocket, publication } from "./fake_socket.js";

const options = { url: "ws://gateway/ws", WebSocket: FakeSocket, base_ms: 100, cap_ms: 800, random: () => 1 };
let connection;

beforeEach(() => {
  mock.timers.reset();
  mock.timers.enable({ apis: ["setTimeout"] });
  FakeSocket.all = [];
  connection = new Connection(options).open();
});

test("it is live with the gateway's welcome, not before", () => {
  assert.equal(connection.state, ConnectionState.CONNECTING);
  FakeSocket.last.welcome();
  assert.equal(connection.state, ConnectionState.LIVE);
  assert.equal(connection.welcome.principal, "p");
});

test("a command is answered by the reply with its id", async () => {
  FakeSocket.last.welcome();
  const first = connection.getJob("a");
  const second = connection.getJob("b");
  const [one, two] = FakeSocket.last.sent.filter(({ type }) => type === "get_job");
  FakeSocket.last.receive({ type: "job", id: two.id, job: { name: "b" } });
  FakeSocket.last.receive({ type: "job", id: one.id, job: { name: "a" } });
  assert.deepEqual([(await first).job.name, (await second).job.name], ["a", "b"]);
});

test("a refused command rejects with every fault and its path", async () => {
  FakeSocket.last.welcome();
  const reply = connection.setParameters("j", { threshold: 99 });
  FakeSocket.last.answer("set_parameters", {
    type: "error",
    code: "invalid_parameters",
    title: "t",
    detail: "at most 8",
    path: "$.threshold",
  });
  await assert.rejects(
    reply,
    (error) => error instanceof RivuletError && error.faults[0].path === "$.threshold" && error.message === "at most 8",
  );
});

test("without a reply in time the caller is told, and a late one disturbs nobody", async () => {
  FakeSocket.last.welcome();
  const reply = connection.getJob("slow");
  mock.timers.tick(10_000);
  await assert.rejects(reply, ReplyTimeout);
  FakeSocket.last.answer("get_job", { type: "job", job: {} });
});

test("the loss of the connection rejects what waits", async () => {
  FakeSocket.last.welcome();
  const reply = connection.getJob("a");
  FakeSocket.last.drop();
  await assert.rejects(reply, ConnectionLost);
  await assert.rejects(connection.getJob("b"), ConnectionLost);
});

test("it comes back after a growing time, and starts small again once it was live", () => {
  const waits = [];
  connection.on("state", ({ retry_in_ms }) => retry_in_ms !== undefined && waits.push(retry_in_ms));
  for (let i = 0; i < 5; i++) {
    FakeSocket.last.drop();
    mock.timers.tick(waits.at(-1));
  }
  assert.deepEqual(waits, [100, 200, 400, 800, 800]);
  FakeSocket.last.welcome();
  FakeSocket.last.drop();
  assert.equal(waits.at(-1), 100);
  assert.equal(FakeSocket.all.length, 6);
});

for (const [code, { name, may_reconnect }] of Object.entries(CLOSE_CODES)) {
  test(`close code ${code} (${name}): ${may_reconnect ? "comes back" : "stays away"}`, () => {
    FakeSocket.last.welcome();
    FakeSocket.last.drop(Number(code), "why");
    assert.equal(connection.state, may_reconnect ? ConnectionState.WAITING : ConnectionState.CLOSED);
    mock.timers.tick(60_000);
    assert.equal(FakeSocket.all.length, may_reconnect ? 2 : 1);
  });
}

test("after a drain it comes back within the window that was asked for", () => {
  let wait_ms;
  FakeSocket.last.welcome();
  connection.on("state", ({ retry_in_ms }) => (wait_ms = retry_in_ms));
  FakeSocket.last.receive({ type: "drain", reconnect_in_ms: [50, 75], deadline_ms: 1000 });
  FakeSocket.last.drop(1012);
  assert.equal(wait_ms, 75);
});

test("it can be told not to wait", () => {
  FakeSocket.last.drop();
  connection.retryNow();
  assert.equal(FakeSocket.all.length, 2);
  mock.timers.tick(60_000);
  assert.equal(FakeSocket.all.length, 2);
});

test("a gateway that does not answer a ping is given up", async () => {
  FakeSocket.last.receive({ type: "welcome" });
  const socket = FakeSocket.last;
  const lost = new Promise((resolve) => connection.on("state", resolve));
  mock.timers.tick(10_000);
  assert.equal((await lost).code, 4408);
  assert.equal(socket.closed_with.code, 4408);
});

test("the round trip is measured", async () => {
  const measured = new Promise((resolve) => connection.on("round_trip", resolve));
  FakeSocket.last.welcome();
  assert.ok((await measured) >= 0);
  assert.equal(connection.round_trip_ms.size, 1);
});

test("subscriptions are asked for again from their position", () => {
  const subscription = connection.subscribe("j/out", { since: "earliest" });
  FakeSocket.last.welcome();
  assert.equal(FakeSocket.last.command("subscribe").since, "earliest");
  FakeSocket.last.subscribed({ offset: 4 });
  FakeSocket.last.receive(publication(5));
  FakeSocket.last.drop();
  assert.equal(subscription.state, "pending");
  connection.retryNow();
  FakeSocket.last.welcome();
  assert.deepEqual(FakeSocket.last.command("subscribe").since, { epoch: "e", offset: 5 });
});

test("one that is made when the connection comes is asked for once; one that is given up then is not", () => {
  const given_up = connection.subscribe("j/old");
  connection.on("welcome", () => {
    connection.subscribe("j/new");
    given_up.end("not wanted any more");
  });
  FakeSocket.last.welcome();
  const asked = FakeSocket.last.sent.filter(({ type }) => type === "subscribe");
  assert.deepEqual(
    asked.map(({ stream }) => stream),
    ["j/new"],
  );
});

test("one that is unsubscribed is not asked for again, and the gateway is told", async () => {
  FakeSocket.last.welcome();
  const subscription = connection.subscribe("j/out");
  const gone = connection.unsubscribe(subscription);
  FakeSocket.last.answer("unsubscribe", { type: "unsubscribed", sub: subscription.sub });
  await gone;
  FakeSocket.last.drop();
  connection.retryNow();
  FakeSocket.last.welcome();
  assert.equal(FakeSocket.last.command("subscribe"), undefined);
});

test("close ends everything for good", async () => {
  FakeSocket.last.welcome();
  const subscription = connection.subscribe("j/out");
  const reply = connection.getJob("a");
  connection.close();
  await assert.rejects(reply, ConnectionLost);
  assert.equal(subscription.state, "ended");
  assert.equal(connection.state, ConnectionState.CLOSED);
  mock.timers.tick(60_000);
  assert.equal(FakeSocket.all.length, 1);
});

test("close while waiting to come back ends that, too", () => {
  FakeSocket.last.drop();
  connection.close();
  mock.timers.tick(60_000);
  assert.equal(FakeSocket.all.length, 1);
});

test("the token travels as an offered subprotocol", () => {
  new Connection({ ...options, token: "tökén?>" }).open();
  const [protocol, bearer] = FakeSocket.last.protocols;
  assert.equal(protocol, "rivulet.v1.json");
  assert.match(bearer, /^rivulet\.bearer\.[A-Za-z0-9_-]+$/);
  assert.equal(Buffer.from(bearer.split(".")[2], "base64url").toString(), "tökén?>");
});

test("what is not JSON ends the socket", () => {
  FakeSocket.last.receive("<html>");
  assert.equal(FakeSocket.last.closed_with.code, 4500);
  assert.equal(connection.state, ConnectionState.CLOSED);
});

test("frames that this client does not know are events, not faults", () => {
  let heard;
  connection.on("novelty", (frame) => (heard = frame));
  FakeSocket.last.welcome();
  FakeSocket.last.receive({ type: "novelty", x: 1 });
  assert.equal(heard.x, 1);
});

test("a change that is waited for has the time it asks for, and its reply's", async () => {
  FakeSocket.last.welcome();
  const change = connection.setParameters("j", { threshold: 4 }, { wait: "applied", wait_s: 60, reset: true });
  const { id, ...sent } = FakeSocket.last.sent.find(({ type }) => type === "set_parameters");
  assert.deepEqual(sent, {
    type: "set_parameters",
    job: "j",
    values: { threshold: 4 },
    wait: "applied",
    wait_s: 60,
    reset: true,
  });
  mock.timers.tick(69_999);
  FakeSocket.last.receive({ type: "parameters_accepted", id, job: "j", revision: 2, state: "applied", batch: 7 });
  assert.equal((await change).batch, 7);

  const late = assert.rejects(connection.revert("j", 1, { wait: "applied" }), ReplyTimeout);
  assert.equal(FakeSocket.last.sent.at(-1).revision, 1);
  mock.timers.tick(40_000);
  await late;
});

test("the history comes without the schema, newest first", async () => {
  FakeSocket.last.welcome();
  const changes = connection.history("j", 5);
  const { id, ...sent } = FakeSocket.last.sent.find(({ type }) => type === "get_parameters");
  assert.deepEqual(sent, { type: "get_parameters", job: "j", schema: false, history: 5 });
  FakeSocket.last.receive({ type: "parameters", id, job: "j", revision: 2, values: {}, history: [{ revision: 2 }] });
  assert.deepEqual(await changes, [{ revision: 2 }]);
  const none = connection.history("j");
  FakeSocket.last.receive({ type: "parameters", id: id + 1, job: "j", revision: 0, values: {} });
  assert.deepEqual(await none, []);
});
