/** A WebSocket whose other end is in the hands of the test. */
export class FakeSocket {
  static all = [];
  sent = [];
  closed_with = undefined;

  constructor(url, protocols) {
    Object.assign(this, { url, protocols });
    FakeSocket.all.push(this);
  }

  static get last() {
    return FakeSocket.all.at(-1);
  }

  send(text) {
    this.sent.push(JSON.parse(text));
  }

  close(code, reason) {
    this.closed_with = { code, reason };
  }

  // ---- the other end ----

  receive(frame) {
    const raw = typeof frame === "string" || frame instanceof ArrayBuffer;
    this.onmessage({ data: raw ? frame : JSON.stringify(frame) });
  }

  /** Let in, and answer the first ping. */
  welcome() {
    this.receive({
      type: "welcome",
      session: "s",
      server: "rivulet",
      protocol: "rivulet.v1",
      principal: "p",
      tenant: "t",
      heartbeat_s: 10,
    });
    this.answer("ping", { type: "pong" });
  }

  /** The newest command of a type. */
  command(type) {
    return this.sent.findLast((frame) => frame.type === type);
  }

  answer(type, reply) {
    this.receive({ ...reply, id: this.command(type).id });
  }

  /** Grant the newest subscription. */
  subscribed(reply = {}) {
    const { sub, stream } = this.command("subscribe");
    this.answer("subscribe", { type: "subscribed", sub, stream, epoch: "e", offset: 0, ...reply });
  }

  drop(code = 1006, reason = "") {
    this.onclose({ code, reason });
  }
}

/** A publication on subscription 1. */
export const publication = (offset, more = {}) => ({
  type: "publication",
  sub: 1,
  epoch: "e",
  offset,
  batch: offset,
  revision: 1,
  published_at: new Date().toISOString(),
  rows: [{}, {}],
  ...more,
});

/** Let everything happen that waits for nothing but its turn. */
export const settled = () => new Promise((resolve) => setImmediate(resolve));
