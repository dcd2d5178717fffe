"""What the command line asks by HTTP: of a gateway, and of what is none."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from gateway.cli.exits import Exit
from gateway.cli.rest import Rest, get
from gateway.client import Unreachable
from gateway.main import running
from gateway.protocol.codes import ErrorCode
from gateway.protocol.errors import RivuletError
from gateway.protocol.rest import FunctionList, JobList
from gateway.protocol.types import Right
from gateway.server.tokens import new_token
from gateway.settings import load
from tests.cli.conftest import rivulet

FUNCTIONS = "/api/v1/functions"


async def test_a_gateway_that_asks_for_a_token(tmp_path: Path) -> None:
    token = new_token(tmp_path / "tokens.toml", "reader", [Right.READ])
    flags = {"port": 0, "workers": 0, "data_dir": str(tmp_path / "d"), "tokens_file": str(tmp_path / "tokens.toml")}
    async with running(load(flags=flags).settings) as gateway:
        assert (await asyncio.to_thread(Rest(gateway.url, token), FUNCTIONS, FunctionList)).functions == ()
        for wrong in (None, "wrong"):
            with pytest.raises(RivuletError) as refused:
                await asyncio.to_thread(Rest(gateway.url, wrong), FUNCTIONS, FunctionList)
            assert refused.value.code is ErrorCode.UNAUTHENTICATED
        for words in (("jobs",), ("functions",), ("run", "pi"), ("stop", "x", "--token", token)):
            assert (await asyncio.to_thread(rivulet, *words, "--gateway", gateway.url)).returncode == Exit.NOT_ALLOWED
        with pytest.raises(RivuletError) as faulty:
            await asyncio.to_thread(get, gateway.url, token, "/api/v1/jobs?state=asleep", JobList)
        assert faulty.value.code is ErrorCode.INVALID_FRAME
        assert "state" in str(faulty.value.path)


class NoGateway(BaseHTTPRequestHandler):
    """Some other web server: a page here, an error page there."""

    def do_GET(self) -> None:
        self.send_response(200 if self.path == FUNCTIONS else 404)
        self.end_headers()
        self.wfile.write(b"<html>")

    def log_message(self, *_: object) -> None:
        """Be quiet."""


@pytest.fixture
def no_gateway() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), NoGateway) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("path", [FUNCTIONS, "/elsewhere"])
def test_something_else_answers(no_gateway: str, path: str) -> None:
    with pytest.raises(Unreachable, match="no gateway"):
        get(no_gateway, None, path, FunctionList)


def test_nobody_answers() -> None:
    with pytest.raises(Unreachable, match="Connection refused"):
        get("http://127.0.0.1:1", None, FUNCTIONS, FunctionList)
