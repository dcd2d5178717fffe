"""The exception that reaches a wire."""

from __future__ import annotations

from gateway.protocol.codes import ErrorCode
from gateway.protocol.errors import RivuletError, invalid_parameters
from gateway.protocol.types import Fault

LOW, HIGH = Fault("$.values.a", "too low"), Fault("$.values.b", "too high")


def test_one_fault_is_the_error() -> None:
    error = invalid_parameters([LOW])
    assert (error.code, error.detail, error.path) == (ErrorCode.INVALID_PARAMETERS, "too low", "$.values.a")


def test_several_faults_are_all_told() -> None:
    error = invalid_parameters([LOW, HIGH])
    assert error.path is None
    assert error.faults == (LOW, HIGH)
    assert str(error).splitlines() == ["2 faults", "$.values.a: too low", "$.values.b: too high"]


def test_a_path_that_is_given_stays() -> None:
    assert RivuletError(ErrorCode.CONFLICT, "no", "$.job", [LOW]).path == "$.job"
