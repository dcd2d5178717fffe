"""The command line `rivulet`. Importing this is cheap; what a command needs is imported when it runs."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line; exits with a code from `gateway.cli.exits`."""
    from gateway.cli.app import app
    from gateway.cli.exits import Exit, explain

    try:
        app(prog_name="rivulet")
    except KeyboardInterrupt:
        sys.exit(Exit.INTERRUPTED)
    except Exception as error:
        code = explain(error)
        if code is None:  # a fault of our own: the traceback belongs into the report
            raise
        sys.exit(code)
