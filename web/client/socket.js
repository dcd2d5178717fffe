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
 * @param {{url: string, token?: string, WebSocket: typeof globalThis.WebSocket,
 *   on_frame: (frame: any) => void, on_close: (code: number, reason: string) => void}} options
 */
export function openSocket({ url, token, WebSocket, on_frame, on_close }) {
  const socket = new WebSocket(url, token ? [SUBPROTOCOLS.json, bearer(token)] : [SUBPROTOCOLS.json]);
  let ended = false;
  const end = (code, reason) => {
    if (ended) return;
    ended = true;
    on_close(code, reason);
  };
  socket.onmessage = ({ data }) => {
    if (ended) return;
    let frame;
    try {
      frame = JSON.parse(data);
    } catch {
      // The gateway speaks JSON text on this subprotocol: whatever answered is no gateway, and the socket is of no use.
      socket.close(4500, "a frame was not JSON");
      end(4500, "a frame was not JSON");
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
