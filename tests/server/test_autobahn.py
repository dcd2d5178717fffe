"""The Autobahn cases against the running gateway, on the event loop that it is served on.

Exercises gateway.server.front, gateway.server.handshake, gateway.server.connection and gateway.core.framing.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import kosoku
import pytest

from gateway.main import RunningGateway
from tests.server.routes import Served

pytestmark = pytest.mark.asyncio(loop_factories=["uvloop"])

RFC_6455 = ["1.*", "2.*", "3.*", "4.*", "5.*", "6.*", "7.*", "10.*"]
#: A few of each family: text and binary, small and large, in pieces, with offers of every kind. Not those of which some
#: message is too small to be compressed: kosoku 0.1 takes text that comes uncompressed, which RFC 7692 allows, amiss.
RFC_7692 = [
    *("12.1.4", "12.1.10", "12.1.14", "12.2.4", "12.3.4", "12.4.4"),
    *("13.1.4", "13.2.4", "13.4.4", "13.6.4", "13.7.4"),
]
#: They offer nothing but a smaller window for what the server sends, and are declined.
DECLINED = ["13.3.4", "13.5.4"]
#: kosoku does not close its test data.
unclosed = pytest.mark.filterwarnings("ignore:unclosed file .*autobahntestsuite:ResourceWarning")


@pytest.fixture(autouse=True)
def kept_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """kosoku leaves its reports in the current folder, and puts a `pkg_resources` of its own before everybody's."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", sys.path.copy())
    before = sys.modules.get("pkg_resources")
    yield
    if before is None:
        sys.modules.pop("pkg_resources", None)
    else:
        sys.modules["pkg_resources"] = before


async def test_every_case_of_the_framing_passes(gateway: RunningGateway) -> None:
    results = await kosoku.run_fuzzingclient(Served(gateway).url, cases=RFC_6455, concurrency=8)
    assert len(results) == 247


@unclosed
async def test_compressed_messages_pass(gateway: RunningGateway) -> None:
    results = await kosoku.run_fuzzingclient(Served(gateway).url, cases=RFC_7692, concurrency=4)
    assert [result.case_id for result in results if result.behavior.value != "OK"] == []


@unclosed
async def test_a_smaller_window_is_declined(gateway: RunningGateway) -> None:
    with pytest.raises(kosoku.FailureError) as failed:
        await kosoku.run_fuzzingclient(Served(gateway).url, cases=DECLINED)
    assert {result.behavior.value for result in failed.value.results} == {"UNIMPLEMENTED"}
