/** The gateway refused a command. The members are those of the `error` frame and of the REST API's problem. */
export class RivuletError extends Error {
  /** @param {{code: string, title: string, detail: string, path?: string, errors?: {path: string, detail: string}[]}} frame */
  constructor({ code, title, detail, path, errors = [] }) {
    super(detail || title);
    this.name = "RivuletError";
    this.code = code;
    this.title = title;
    this.detail = detail;
    this.path = path;
    /** Every fault with its path, where there are several. */
    this.faults = errors.length || !path ? errors : [{ path, detail }];
  }
}

/** The connection was lost, or is not there, and with it the reply: whether the command took effect is not known. */
export class ConnectionLost extends Error {
  constructor(message = "the connection to the gateway was lost before the reply came") {
    super(message);
    this.name = "ConnectionLost";
  }
}

/** No reply came in time. */
export class ReplyTimeout extends Error {
  /** @param {string} command @param {number} timeout_ms */
  constructor(command, timeout_ms) {
    super(`no reply to ${command} within ${timeout_ms} ms`);
    this.name = "ReplyTimeout";
  }
}
