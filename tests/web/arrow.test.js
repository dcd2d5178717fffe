import assert from "node:assert/strict";
import { beforeEach, mock, test } from "node:test";
import { Connection } from "../../web/client/index.js";
import { FakeSocket, publication, settled } from "./fake_socket.js";

// How real tables are read is tested against what the gateway makes: test_arrow.py.
const library = { tableFromIPC: (bytes) => ({ numRows: bytes.length, schema: { fields: [] } }) };
const options = { url: "ws://gateway/ws", WebSocket: FakeSocket, random: () => 1 };

beforeEach(() => {
  mock.timers.reset();
  mock.timers.enable({ apis: ["setTimeout"] });
  FakeSocket.all = [];
});

/** A binary frame: the length of the head, the head, and `body` bytes of a stream. */
function binary(head, body, length) {
  const bytes = new TextEncoder().encode(JSON.stringify(head));
  const frame = new Uint8Array(4 + bytes.length + body);
  new DataView(frame.buffer).setUint32(0, length ?? bytes.length);
  frame.set(bytes, 4);
  return frame.buffer;
}

async function connected(arrow = async () => library) {
  const connection = new Connection({ ...options, arrow }).open();
  await settled();
  FakeSocket.last.welcome();
  return connection;
}

test("without arrow nothing is loaded, and JSON is offered", () => {
  new Connection(options).open();
  assert.deepEqual(FakeSocket.last.protocols, ["rivulet.v1.json"]);
});

test("the library is there before the socket, which offers Arrow", async () => {
  let load;
  const connection = new Connection({
    ...options,
    token: "t",
    arrow: () => new Promise((resolve) => (load = resolve)),
  });
  connection.open();
  assert.equal(connection.state, "connecting");
  assert.equal(FakeSocket.all.length, 0);
  load(library);
  await settled();
  assert.equal(FakeSocket.last.protocols[0], "rivulet.v1.arrow");
  assert.match(FakeSocket.last.protocols[1], /^rivulet\.bearer\./);
  assert.equal(FakeSocket.last.binaryType, "arraybuffer");
});

test("it is loaded once, however often the connection comes back", async () => {
  let times = 0;
  const connection = await connected(async () => {
    times += 1;
    return library;
  });
  FakeSocket.last.drop();
  connection.retryNow();
  FakeSocket.last.welcome();
  assert.equal(times, 1);
});

test("a library that cannot be loaded is told, and tried again", async () => {
  const states = [];
  let times = 0;
  const connection = new Connection({
    ...options,
    arrow: async () => {
      times += 1;
      if (times === 1) throw new Error("no such file");
      return library;
    },
  });
  connection.on("state", (state) => states.push(state));
  connection.open();
  await settled();
  assert.equal(states.at(-1).state, "waiting");
  assert.match(states.at(-1).reason, /Arrow could not be loaded: no such file/);
  mock.timers.tick(60_000);
  await settled();
  assert.equal(FakeSocket.all.length, 1);
});

test("a connection that is closed meanwhile stays closed", async () => {
  let load;
  const connection = new Connection({ ...options, arrow: () => new Promise((resolve) => (load = resolve)) }).open();
  connection.close();
  load(library);
  await settled();
  assert.equal(connection.state, "closed");
  assert.equal(FakeSocket.all.length, 0);
});

test("a binary publication is handed over with its table, counted, and granted again", async () => {
  const connection = await connected();
  const subscription = connection.subscribe("j/out", { credit: 2 });
  const seen = [];
  subscription.on("publication", (each) => seen.push(each));
  FakeSocket.last.subscribed();
  const { rows, ...head } = publication(2, { from: 1 });
  FakeSocket.last.receive(binary(head, 3));
  assert.equal(seen[0].table.numRows, 3);
  assert.equal(seen[0].rows.length, 3);
  assert.equal(seen[0].rows, seen[0].rows);
  assert.deepEqual(JSON.parse(JSON.stringify(seen[0].offset)), 2);
  assert.equal(subscription.counts.rows, 3);
  assert.deepEqual(subscription.position, { epoch: "e", offset: 2 });
  assert.equal(FakeSocket.last.command("request").n, 1);
});

for (const [what, data] of [
  ["shorter than its length", new ArrayBuffer(3)],
  ["with a head beyond its end", binary({}, 0, 99)],
  ["with a head that is not JSON", binary({}, 9, 9)],
]) {
  test(`a binary frame ${what} ends the socket, and says why`, async () => {
    const connection = await connected();
    const told = new Promise((resolve) => connection.on("state", resolve));
    FakeSocket.last.receive(data);
    assert.equal(FakeSocket.last.closed_with.code, 4500);
    assert.match((await told).reason, /a frame could not be read: ./);
    assert.equal(connection.state, "closed");
  });
}

test("a binary frame that nobody asked for ends the socket", () => {
  new Connection(options).open();
  FakeSocket.last.receive(binary({}, 0));
  assert.equal(FakeSocket.last.closed_with.code, 4500);
});
