"""The suite on a real gateway: everything passes, and what does not apply is what cannot.

Exercises gateway.conformance.suite, gateway.conformance.probe and gateway.conformance.case.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gateway.conformance import suite
from gateway.conformance.case import CASES, Broken, Outcome, Result, about, case, check_equal
from gateway.conformance.suite import Target, Unreachable
from gateway.main import RunningGateway
from gateway.protocol.types import Right
from gateway.server.tokens import new_token
from tests.conformance.wrong_gateway import Fault, WrongGateway

TOKENS = {name for name in CASES if name.startswith("token-")}


async def outcomes(target: Target, *only: str) -> list[Outcome]:
    return await suite.run(await suite.examine(target), suite.pick(only), lambda _outcome: None)


def reasons(found: list[Outcome], result: Result) -> dict[str, str]:
    return {each.id: each.reason for each in found if each.result is result}


async def test_a_gateway_passes(gateway: RunningGateway, stream: str) -> None:
    told: list[Outcome] = []
    target = await suite.examine(Target(gateway.url, stream=stream))
    found = await suite.run(target, suite.pick(()), told.append)
    assert reasons(found, Result.FAIL) == {}
    declined = {"conflate-needs-a-key", "control-overtakes"}
    assert set(reasons(found, Result.NOT_APPLICABLE)) == TOKENS | declined
    assert [each.id for each in found] == list(CASES)
    assert {each.id for each in told} == set(CASES)


@pytest.mark.parametrize(("padding", "count"), [(20_000, 10)])
async def test_control_overtakes_where_there_is_enough_to_overtake(gateway: RunningGateway, stream: str) -> None:
    (found,) = await outcomes(Target(gateway.url, stream=stream), "control-overtakes")
    assert (found.result, found.reason) == (Result.PASS, "")


class Guarded:
    """A gateway that asks for a token."""

    @pytest.fixture
    def flags(self, tmp_path: Path) -> dict[str, Any]:
        return {"tokens_file": str(tmp_path / "tokens.toml")}

    @pytest.fixture
    def token(self, tmp_path: Path) -> str:
        return new_token(tmp_path / "tokens.toml", "tester", [Right.READ])


class TestGuarded(Guarded):
    async def test_its_ways_of_showing_a_token(self, token: str, gateway: RunningGateway) -> None:
        found = await outcomes(Target(gateway.url, token), "token-", "welcome", "since-latest")
        assert {each.id: (each.result, each.reason) for each in found} == {each.id: (Result.PASS, "") for each in found}

    async def test_without_a_token_it_is_said_that_one_is_needed(self, token: str, gateway: RunningGateway) -> None:
        found = {each.id: each for each in await outcomes(Target(gateway.url), "token-by-header", "token-wrong-header")}
        assert "--token" in found["token-by-header"].reason
        assert found["token-wrong-header"].result is Result.PASS


async def test_nobody_there() -> None:
    with pytest.raises(Unreachable, match="no gateway answers at http://127"):
        await suite.examine(Target("http://127.0.0.1:1"))


def test_cases_are_picked_by_the_beginning_of_their_id() -> None:
    assert {each.id for each in suite.pick(["sse", "credit-zero"])} == {*CASES} & {
        "sse-same", "sse-resume", "sse-select", "credit-zero"
    }  # fmt: skip
    with pytest.raises(ValueError, match="there is no case 'credt'; there are: "):
        suite.pick(["credt"])


def test_a_case_has_an_id_of_its_own_a_title_and_a_rule() -> None:
    assert all(each.title and each.rule for each in CASES.values())
    with pytest.raises(ValueError, match="already"):
        case("resume", "t", "r")(CASES["resume"].body)


def test_a_failure_says_what_is_and_what_should_be() -> None:
    with pytest.raises(Broken, match=r"trying this: `x` is 1, and should be 2"), about("trying this"):
        check_equal("`x`", 1, 2)


async def test_addresses_of_any_kind_name_the_same_gateway() -> None:
    for url in ("http://a:1", "ws://a:1", "ws://a:1/ws", "http://a:1/"):
        assert (Target(url).base, Target(url).websocket) == ("http://a:1", "ws://a:1/ws")
    assert Target("wss://a.example/r/ws").base == "https://a.example/r"
    assert Target("http://127.0.0.1:1").loopback
    assert not Target("https://a.example").loopback


async def test_what_failed_comes_with_the_frames_that_show_it(gateway: RunningGateway) -> None:
    class Nameless(Fault):
        def down(self, frame: dict[str, Any]) -> list[dict[str, Any]]:
            frame.pop("session", None)
            return [frame]

    async with WrongGateway(gateway.url, Nameless) as wrong:
        (found,) = await outcomes(Target(wrong.url), "welcome-first")
    assert found.result is Result.FAIL
    assert "`session` is None" in found.reason
    assert found.frames[0].startswith('#1 <- {"type":"welcome"')
