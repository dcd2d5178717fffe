// The side door of the node servers: a TCP port, a publication a line.
import { createServer } from "node:net";

export function lines(port, publish) {
  createServer((socket) => {
    let rest = "";
    socket.setEncoding("utf8");
    socket.on("data", (chunk) => {
      const parts = (rest + chunk).split("\n");
      rest = parts.pop();
      for (const part of parts) publish(part);
    });
  }).listen(port, "127.0.0.1");
}
