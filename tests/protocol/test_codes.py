"""The tables of codes keep the rules that clients act on."""

from __future__ import annotations

import pytest
from websockets.frames import Close

from gateway.protocol.codes import CloseCode, ErrorCode, may_reconnect


@pytest.mark.parametrize("code", CloseCode)
def test_a_close_code_may_be_sent_and_its_reason_fits(code: CloseCode) -> None:
    Close(code, code.reason).check()
    assert 0 < len(code.reason.encode()) <= 123


def test_close_codes_differ_and_lie_in_the_registered_or_the_private_range() -> None:
    assert len({code.value for code in CloseCode}) == len(CloseCode.__members__)
    assert all(1000 <= code < 1016 or 4000 <= code < 5000 for code in CloseCode)


def test_the_number_alone_decides_who_comes_back() -> None:
    assert {code for code in CloseCode if not code.may_reconnect} == {
        CloseCode.NORMAL,
        CloseCode.INVALID_TEXT,
        CloseCode.TOO_LARGE,
        CloseCode.INVALID_FRAME,
        CloseCode.NOT_AUTHENTICATED,
        CloseCode.FORBIDDEN,
        CloseCode.TOKEN_EXPIRED,
        CloseCode.REPLACED,
    }
    assert all(may_reconnect(code) for code in range(4000, 4500))
    assert not any(may_reconnect(code) for code in range(4500, 5000))
    assert may_reconnect(1006)  # never sent: what a client sees when the connection breaks


def test_an_error_code_is_its_name_in_lower_case() -> None:
    assert ErrorCode.REVISION_CONFLICT.wire == "revision_conflict"
    assert len({code.wire for code in ErrorCode}) == len(ErrorCode.__members__)  # equal rows would be aliases


@pytest.mark.parametrize("code", ErrorCode, ids=lambda code: code.wire)
def test_an_error_code_says_what_it_means_and_what_to_do(code: ErrorCode) -> None:
    row = code.value
    assert 400 <= row.http_status < 600
    assert row.title
    assert not row.title.endswith(".")
    assert row.remedy.endswith(".")


def test_only_what_may_pass_by_itself_is_worth_another_try() -> None:
    assert all(code.value.http_status >= 500 for code in ErrorCode if code.value.retry)
