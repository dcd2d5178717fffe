import { readBinary } from "./arrow.js";
import { SUBPROTOCOLS, SUBPROTOCOL_TOKEN_PREFIX } from "../generated/protocol.js";

/** A browser cannot set headers on a WebSocket: the token travels as an offered subprotocol, in base64url without padding. */
function bearer(token) {
  const bytes = new TextEncoder().encode(token);
  const base64 = btoa(String.fromCharCode(...bytes));
  return SUBPROTOCOL_TOKEN_PREFIX + base64.replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

/**
 * One WebSocket that speaks frames. It reports its end exactly once, by `on_close`, whatever ended it.
 *
 * @param {{url: string, token?: string, arrow?: import("./arrow.js").ArrowLibrary, WebSocket: typeof globalThis.WebSocket,
 *   on_frame: (frame: any) => void, on_close: (code: number, reason: string) => void}} options
 *   with `arrow` publications are asked for as Arrow, and read with it
 */
export function openSocket({ url, token, arrow, WebSocket, on_frame, on_close }) {
  const spoken = arrow ? SUBPROTOCOLS.arrow : SUBPROTOCOLS.json;
  const socket = new WebSocket(url, token ? [spoken, bearer(token)] : [spoken]);
  socket.binaryType = "arraybuffer";
  let ended = false;
  const end = (code, reason) => {
    if (ended) return;
    ended = true;
    on_close(code, reason);
  };
  const read = (data) => {
    if (typeof data === "string") return JSON.parse(data);
    if (arrow) return readBinary(data, arrow);
    throw new TypeError("binary frames were not asked for");
  };
  socket.onmessage = ({ data }) => {
    if (ended) return;
    let frame;
    try {
      frame = read(data);
    } catch (error) {
      // What cannot be read is no frame: whatever answered is no gateway, and the socket is of no use.
      socket.close(4500, "a frame could not be read");
      end(4500, `a frame could not be read: ${error.message}`);
      return;
    }
    on_frame(frame);
  };
  socket.onclose = ({ code, reason }) => end(code, reason);
  return {
    /** @param {object} frame */
    send: (frame) => socket.send(JSON.stringify(frame)),
    /** Close; the end is reported at once, since a dead network may never confirm it. */
    close: (code = 1000, reason = "") => {
      socket.close(code, reason);
      end(code, reason);
    },
  };
}
