// The npm package `ws` as its documentation broadcasts: `client.send` for each. node ws.mjs PORT DOOR_PORT
import { createRequire } from "node:module";
import { lines } from "./lines.mjs";

const { WebSocketServer } = createRequire(`${process.env.BENCH_MODULES}/`)("ws");
const [port, door] = process.argv.slice(2).map(Number);
const server = new WebSocketServer({ host: "127.0.0.1", port, backlog: 4096, perMessageDeflate: false });
lines(door, (line) => {
  for (const client of server.clients) client.send(line);
});
