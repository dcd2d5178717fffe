"""Error codes and close codes: one row each, and everything else reads these tables."""

from __future__ import annotations

from enum import Enum, IntEnum
from typing import NamedTuple


class ErrorRow(NamedTuple):
    """What an error code means, its REST twin's status, what to do, whether the same command may be tried again."""

    title: str
    http_status: int
    remedy: str
    retry: bool = False


class ErrorCode(Enum):
    """Every way in which a command can fail. The member's name is the code on the wire, in lower case."""

    INVALID_FRAME = ErrorRow(
        "The command or request is not valid",
        400,
        "Put right the field that `path` names; `detail` says what fits there.",
    )
    UNKNOWN_TYPE = ErrorRow("There is no such command", 400, "Use one of the commands that `detail` lists.")
    INVALID_PARAMETERS = ErrorRow(
        "The parameters are not valid",
        422,
        "Put right every field in `errors`; the function's parameter schema says what fits.",
    )
    UNAUTHENTICATED = ErrorRow(
        "Authentication is needed", 401, "Show a token: as `Authorization: Bearer`, or by `authenticate`, or log in."
    )
    FORBIDDEN = ErrorRow(
        "This principal may not do that",
        403,
        "Use a token with the right that `detail` names, or ask whoever gives them.",
    )
    NOT_FOUND = ErrorRow(
        "There is no such thing", 404, "Look for the name in `list_jobs`, or in the lists of functions and streams."
    )
    METHOD_NOT_ALLOWED = ErrorRow(
        "This address does not take that method", 405, "Use one of the methods that the `Allow` header lists."
    )
    NOT_ACCEPTABLE = ErrorRow(
        "It cannot be had in a form that was asked for", 406, "Ask, by `Accept`, for a form that `detail` lists."
    )
    UNSUPPORTED_MEDIA_TYPE = ErrorRow(
        "The body is not of a form that is taken here", 415, "Send it in the form that `detail` names, and say so."
    )
    CONFLICT = ErrorRow(
        "The state of things does not allow it",
        409,
        "Look at the state that `detail` names, and wait for it or change it.",
    )
    REVISION_CONFLICT = ErrorRow(
        "The parameters have changed meanwhile",
        409,
        "Read the parameters again, and send the change with their revision as `if_revision`.",
    )
    RESET_REQUIRED = ErrorRow(
        "The change cannot keep the job's state",
        409,
        "Send it again with `reset: true` where what the job has saved may be given up.",
    )
    CHANGE_REJECTED = ErrorRow(
        "The job failed under the change, and goes on without it",
        422,
        "`detail` tells what the job failed with; choose other values.",
    )
    LIMIT_EXCEEDED = ErrorRow(
        "A limit of this socket is reached", 429, "Give back what is no longer needed; `welcome` told the limits."
    )
    NOT_IMPLEMENTED = ErrorRow(
        "This gateway cannot do that yet", 501, "Leave out what `path` names; `detail` says what to do meanwhile."
    )
    UNAVAILABLE = ErrorRow(
        "What is needed for it is not there at the moment",
        503,
        "Try again a little later, longer each time.",
        retry=True,
    )
    TIMED_OUT = ErrorRow("It took too long", 504, "Look whether it has happened after all, then try again.", retry=True)
    INTERNAL = ErrorRow("The gateway failed", 500, "Try again; the gateway's log tells what went wrong.", retry=True)

    @property
    def wire(self) -> str:
        """The code as it stands in a frame."""
        return self.name.lower()


class CloseCode(IntEnum):
    """Why a WebSocket was closed. The number alone decides what a client does: see `may_reconnect`."""

    NORMAL = 1000
    GOING_AWAY = 1001
    INVALID_TEXT = 1007
    TOO_LARGE = 1009
    INTERNAL = 1011
    RESTARTING = 1012
    NO_HEARTBEAT = 4408
    TOO_SLOW = 4413
    TOO_MANY_COMMANDS = 4429
    INVALID_FRAME = 4500
    NOT_AUTHENTICATED = 4501
    FORBIDDEN = 4503
    TOKEN_EXPIRED = 4504
    REPLACED = 4509

    @property
    def may_reconnect(self) -> bool:
        """Whether a client should come back by itself."""
        return may_reconnect(self)

    @property
    def reason(self) -> str:
        """The text that goes with the code (RFC 6455 section 5.5: at most 123 bytes)."""
        return _REASONS[self]


_REASONS = {
    CloseCode.NORMAL: "closed",
    CloseCode.GOING_AWAY: "going away",
    CloseCode.INVALID_TEXT: "text must be UTF-8",
    CloseCode.TOO_LARGE: "the frame is larger than this gateway takes",
    CloseCode.INTERNAL: "the gateway failed",
    CloseCode.RESTARTING: "the gateway restarts, come back",
    CloseCode.NO_HEARTBEAT: "no heartbeat",
    CloseCode.TOO_SLOW: "too slow to be served, resume from your position",
    CloseCode.TOO_MANY_COMMANDS: "too many commands",
    CloseCode.INVALID_FRAME: "a frame must be one JSON object, as text",
    CloseCode.NOT_AUTHENTICATED: "not authenticated in time",
    CloseCode.FORBIDDEN: "forbidden",
    CloseCode.TOKEN_EXPIRED: "the token has expired",
    CloseCode.REPLACED: "another socket took this one's place",
}

#: Closed by this gateway's judgement of the client: coming back as it is would end the same way.
FINAL_RANGE = range(4500, 5000)
#: Registered codes after which coming back cannot help: the close was asked for, or the same frame would be refused.
FINAL_REGISTERED = (CloseCode.NORMAL, CloseCode.INVALID_TEXT, CloseCode.TOO_LARGE)


def may_reconnect(code: int) -> bool:
    """Whether a client that was closed with `code` should come back: not after 4500-4999, 1000, 1007 and 1009."""
    return code not in FINAL_RANGE and code not in FINAL_REGISTERED
