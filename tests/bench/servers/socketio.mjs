// socket.io over WebSocket only: `io.emit` to all. node socketio.mjs PORT DOOR_PORT
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { lines } from "./lines.mjs";

const { Server } = createRequire(`${process.env.BENCH_MODULES}/`)("socket.io");
const [port, door] = process.argv.slice(2).map(Number);
const http = createServer();
const io = new Server(http, { transports: ["websocket"], perMessageDeflate: false, serveClient: false });
http.listen(port, "127.0.0.1", 4096);
lines(door, (line) => io.emit("m", JSON.parse(line)));
