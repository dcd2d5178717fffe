// Made by `python -m gateway.protocol.generate`: do not edit.

/** Makes a table, and all that is in it, read-only. */
const table = (of) => {
  for (const value of Object.values(of)) if (typeof value === "object" && value !== null) table(value);
  return Object.freeze(of);
};

/** The protocol's name. */
export const PROTOCOL = "rivulet.v1";

/** The WebSocket subprotocols. */
export const SUBPROTOCOLS = table({
  "json": "rivulet.v1.json",
  "arrow": "rivulet.v1.arrow"
});

/** A token is offered as a subprotocol: this, then the token in unpadded base64url. */
export const SUBPROTOCOL_TOKEN_PREFIX = "rivulet.bearer.";

/** The commands: the type of the reply, and the right that each needs. */
export const COMMANDS = table({
  "authenticate": {
    "reply": "authenticated",
    "right": null
  },
  "subscribe": {
    "reply": "subscribed",
    "right": "read"
  },
  "resubscribe": {
    "reply": "subscribed",
    "right": "read"
  },
  "unsubscribe": {
    "reply": "unsubscribed",
    "right": "read"
  },
  "request": {
    "reply": "requested",
    "right": "read"
  },
  "run": {
    "reply": "job",
    "right": "run"
  },
  "stop": {
    "reply": "job",
    "right": "run"
  },
  "get_job": {
    "reply": "job",
    "right": "read"
  },
  "list_jobs": {
    "reply": "jobs",
    "right": "read"
  },
  "get_parameters": {
    "reply": "parameters",
    "right": "read"
  },
  "set_parameters": {
    "reply": "parameters_accepted",
    "right": "control"
  },
  "revert": {
    "reply": "parameters_accepted",
    "right": "control"
  },
  "fork": {
    "reply": "job",
    "right": "run"
  },
  "ping": {
    "reply": "pong",
    "right": null
  }
});

/** What an error code means. */
export const ERROR_CODES = table({
  "invalid_frame": {
    "title": "The command or request is not valid",
    "http_status": 400,
    "remedy": "Put right the field that `path` names; `detail` says what fits there.",
    "retry": false
  },
  "unknown_type": {
    "title": "There is no such command",
    "http_status": 400,
    "remedy": "Use one of the commands that `detail` lists.",
    "retry": false
  },
  "invalid_parameters": {
    "title": "The parameters are not valid",
    "http_status": 422,
    "remedy": "Put right every field in `errors`; the function's parameter schema says what fits.",
    "retry": false
  },
  "unauthenticated": {
    "title": "Authentication is needed",
    "http_status": 401,
    "remedy": "Show a token: as `Authorization: Bearer`, or by `authenticate`, or log in.",
    "retry": false
  },
  "forbidden": {
    "title": "This principal may not do that",
    "http_status": 403,
    "remedy": "Use a token with the right that `detail` names, or ask whoever gives them.",
    "retry": false
  },
  "not_found": {
    "title": "There is no such thing",
    "http_status": 404,
    "remedy": "Look for the name in `list_jobs`, or in the lists of functions and streams.",
    "retry": false
  },
  "method_not_allowed": {
    "title": "This address does not take that method",
    "http_status": 405,
    "remedy": "Use one of the methods that the `Allow` header lists.",
    "retry": false
  },
  "not_acceptable": {
    "title": "It cannot be had in a form that was asked for",
    "http_status": 406,
    "remedy": "Ask, by `Accept`, for a form that `detail` lists.",
    "retry": false
  },
  "unsupported_media_type": {
    "title": "The body is not of a form that is taken here",
    "http_status": 415,
    "remedy": "Send it in the form that `detail` names, and say so.",
    "retry": false
  },
  "conflict": {
    "title": "The state of things does not allow it",
    "http_status": 409,
    "remedy": "Look at the state that `detail` names, and wait for it or change it.",
    "retry": false
  },
  "revision_conflict": {
    "title": "The parameters have changed meanwhile",
    "http_status": 409,
    "remedy": "Read the parameters again, and send the change with their revision as `if_revision`.",
    "retry": false
  },
  "reset_required": {
    "title": "The change cannot keep the job's state",
    "http_status": 409,
    "remedy": "Send it again with `reset: true` where what the job has saved may be given up.",
    "retry": false
  },
  "change_rejected": {
    "title": "The job failed under the change, and goes on without it",
    "http_status": 422,
    "remedy": "`detail` tells what the job failed with; choose other values.",
    "retry": false
  },
  "limit_exceeded": {
    "title": "A limit of this socket is reached",
    "http_status": 429,
    "remedy": "Give back what is no longer needed; `welcome` told the limits.",
    "retry": false
  },
  "not_implemented": {
    "title": "This gateway cannot do that yet",
    "http_status": 501,
    "remedy": "Leave out what `path` names; `detail` says what to do meanwhile.",
    "retry": false
  },
  "unavailable": {
    "title": "What is needed for it is not there at the moment",
    "http_status": 503,
    "remedy": "Try again a little later, longer each time.",
    "retry": true
  },
  "timed_out": {
    "title": "It took too long",
    "http_status": 504,
    "remedy": "Look whether it has happened after all, then try again.",
    "retry": true
  },
  "internal": {
    "title": "The gateway failed",
    "http_status": 500,
    "remedy": "Try again; the gateway's log tells what went wrong.",
    "retry": true
  }
});

/** Why a socket was closed. */
export const CLOSE_CODES = table({
  "1000": {
    "name": "normal",
    "reason": "closed",
    "may_reconnect": false
  },
  "1001": {
    "name": "going_away",
    "reason": "going away",
    "may_reconnect": true
  },
  "1007": {
    "name": "invalid_text",
    "reason": "text must be UTF-8",
    "may_reconnect": false
  },
  "1009": {
    "name": "too_large",
    "reason": "the frame is larger than this gateway takes",
    "may_reconnect": false
  },
  "1011": {
    "name": "internal",
    "reason": "the gateway failed",
    "may_reconnect": true
  },
  "1012": {
    "name": "restarting",
    "reason": "the gateway restarts, come back",
    "may_reconnect": true
  },
  "4408": {
    "name": "no_heartbeat",
    "reason": "no heartbeat",
    "may_reconnect": true
  },
  "4413": {
    "name": "too_slow",
    "reason": "too slow to be served, resume from your position",
    "may_reconnect": true
  },
  "4429": {
    "name": "too_many_commands",
    "reason": "too many commands",
    "may_reconnect": true
  },
  "4500": {
    "name": "invalid_frame",
    "reason": "a frame must be one JSON object, as text",
    "may_reconnect": false
  },
  "4501": {
    "name": "not_authenticated",
    "reason": "not authenticated in time",
    "may_reconnect": false
  },
  "4503": {
    "name": "forbidden",
    "reason": "forbidden",
    "may_reconnect": false
  },
  "4504": {
    "name": "token_expired",
    "reason": "the token has expired",
    "may_reconnect": false
  },
  "4509": {
    "name": "replaced",
    "reason": "another socket took this one's place",
    "may_reconnect": false
  }
});

/** Whether a client that was closed with `code` should come back. */
export const mayReconnect = (code) =>
  !(code >= 4500 && code < 5000) && ![1000, 1007, 1009].includes(code);

/** States: where each event leads; a final one has no exits. */
export const SESSION_STATES = table({
  "connected": {
    "final": false,
    "on": {
      "authenticate": "authenticated",
      "close": "closed"
    }
  },
  "authenticated": {
    "final": false,
    "on": {
      "authenticate": "authenticated",
      "drain": "draining",
      "close": "closed"
    }
  },
  "draining": {
    "final": false,
    "on": {
      "authenticate": "draining",
      "close": "closed"
    }
  },
  "closed": {
    "final": true,
    "on": {}
  }
});

/** States: where each event leads; a final one has no exits. */
export const SUBSCRIPTION_STATES = table({
  "recovering": {
    "final": false,
    "on": {
      "caught_up": "live",
      "end": "ended"
    }
  },
  "live": {
    "final": false,
    "on": {
      "fell_behind": "recovering",
      "end": "ended"
    }
  },
  "ended": {
    "final": true,
    "on": {}
  }
});

/** States: where each event leads; a final one has no exits. */
export const JOB_STATES = table({
  "queued": {
    "final": false,
    "on": {
      "placed": "starting",
      "cancel": "cancelled",
      "refused": "failed",
      "timed_out": "timed_out"
    }
  },
  "starting": {
    "final": false,
    "on": {
      "started": "running",
      "paused": "paused",
      "failed": "failed",
      "cancel": "cancelling",
      "worker_lost": "restarting",
      "timed_out": "timed_out"
    }
  },
  "running": {
    "final": false,
    "on": {
      "restart": "starting",
      "paused": "paused",
      "ended": "finished",
      "failed": "failed",
      "cancel": "cancelling",
      "cancelled": "cancelled",
      "worker_lost": "restarting",
      "timed_out": "timed_out"
    }
  },
  "paused": {
    "final": false,
    "on": {
      "paused": "paused",
      "restart": "starting",
      "failed": "failed",
      "cancel": "cancelling",
      "cancelled": "cancelled",
      "worker_lost": "restarting"
    }
  },
  "restarting": {
    "final": false,
    "on": {
      "placed": "starting",
      "found": "running",
      "found_paused": "paused",
      "cancel": "cancelled",
      "gave_up": "lost"
    }
  },
  "cancelling": {
    "final": false,
    "on": {
      "ended": "cancelled",
      "failed": "cancelled",
      "cancelled": "cancelled",
      "worker_lost": "cancelled"
    }
  },
  "finished": {
    "final": true,
    "on": {}
  },
  "failed": {
    "final": true,
    "on": {}
  },
  "cancelled": {
    "final": true,
    "on": {}
  },
  "timed_out": {
    "final": true,
    "on": {}
  },
  "lost": {
    "final": true,
    "on": {}
  }
});

/** States: where each event leads; a final one has no exits. */
export const WORKER_STATES = table({
  "starting": {
    "final": false,
    "on": {
      "hello": "ready",
      "exit": "stopped"
    }
  },
  "ready": {
    "final": false,
    "on": {
      "drain": "draining",
      "link_lost": "disconnected",
      "exit": "stopped"
    }
  },
  "draining": {
    "final": false,
    "on": {
      "link_lost": "stopped",
      "exit": "stopped"
    }
  },
  "disconnected": {
    "final": false,
    "on": {
      "hello": "ready",
      "exit": "stopped"
    }
  },
  "stopped": {
    "final": true,
    "on": {}
  }
});

/** States: where each event leads; a final one has no exits. */
export const REVISION_STATES = table({
  "proposed": {
    "final": false,
    "on": {
      "accept": "accepted",
      "reject": "rejected"
    }
  },
  "accepted": {
    "final": false,
    "on": {
      "apply": "applied",
      "reject": "rejected",
      "supersede": "superseded"
    }
  },
  "applied": {
    "final": false,
    "on": {
      "revert": "reverted"
    }
  },
  "rejected": {
    "final": true,
    "on": {}
  },
  "superseded": {
    "final": true,
    "on": {}
  },
  "reverted": {
    "final": true,
    "on": {}
  }
});

/** What happens to publications that a subscription has no credit or room for. */
export const OVERFLOWS = table([
  "latest",
  "conflate",
  "drop_oldest",
  "block",
  "end"
]);

/** How a publication carries its rows in JSON. */
export const FORMATS = table([
  "rows",
  "columns"
]);

/** Spark's output modes; they decide what a publication means to the ones before it. */
export const OUTPUT_MODES = table([
  "append",
  "update",
  "complete"
]);

/** `graceful` ends on a batch boundary; `now` interrupts the running batch, which a later start replays. */
export const STOP_MODES = table([
  "graceful",
  "now"
]);

/** How a parameter change reaches the running job. */
export const EFFECTS = table([
  "live",
  "restart",
  "reset"
]);

/** Why offsets will never come. */
export const GAP_REASONS = table([
  "overflow",
  "retention",
  "epoch"
]);

/** What a function declares. */
export const FUNCTION_KINDS = table([
  "stream",
  "batch",
  "model"
]);

/** What a principal may do: look, change parameters, start and stop jobs, everything. */
export const RIGHTS = table([
  "read",
  "control",
  "run",
  "admin"
]);
