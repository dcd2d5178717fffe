"""Durations as text: ISO 8601 out; ISO 8601, "1 min 30 s" or a number of seconds in."""

from __future__ import annotations

import re
from datetime import timedelta
from decimal import Decimal, DecimalException

_NUMBER = r"\d+(?:[.,]\d+)?"
# ISO 8601-1, 5.5.2.4, without years and months: these have no fixed length.
_ISO = re.compile(
    rf"P(?=.)(?:(?P<w>{_NUMBER})W)?(?:(?P<d>{_NUMBER})D)?"
    rf"(?:T(?=.)(?:(?P<h>{_NUMBER})H)?(?:(?P<min>{_NUMBER})M)?(?:(?P<s>{_NUMBER})S)?)?",
    re.ASCII,
)
_PART = re.compile(rf"({_NUMBER})\s*([a-zµ]+)\s*", re.ASCII)
_SECONDS = {
    "us": Decimal("0.000001"),
    "ms": Decimal("0.001"),
    "s": Decimal(1),
    "min": Decimal(60),
    "h": Decimal(3600),
    "d": Decimal(86400),
    "w": Decimal(604800),
}
_UNITS = {
    **{unit: unit for unit in _SECONDS},
    **{word + plural: unit for unit, word in [("s", "second"), ("min", "minute")] for plural in ("", "s")},
    **{word + plural: unit for unit, word in [("h", "hour"), ("d", "day"), ("w", "week")] for plural in ("", "s")},
    "µs": "us",
    "sec": "s",
    "m": "min",
    "hr": "h",
}


def read_duration(value: object) -> timedelta:
    """A duration >= 0, to the microsecond, from ISO 8601 (`PT1M30S`), from `30s` or `1 min 30 s`, or from seconds.

    Raises `ValueError` for anything else; years and months among it, which have no fixed length.
    """
    try:
        seconds = _seconds(value)
        duration = timedelta(microseconds=int((seconds * 1_000_000).to_integral_value()))
    except (DecimalException, OverflowError):
        raise ValueError("out of range") from None
    if duration < timedelta(0):
        raise ValueError("a duration is not negative")
    return duration


def write_duration(duration: timedelta) -> str:
    """ISO 8601, one text for each duration: `PT0S`, `PT0.5S`, `PT1M30S`, `P1DT2H`."""
    minutes, seconds = divmod(duration.seconds, 60)
    hours, minutes = divmod(minutes, 60)
    fraction = f".{duration.microseconds:06d}".rstrip("0").rstrip(".")
    time = [(hours, f"{hours}H"), (minutes, f"{minutes}M"), (seconds or fraction, f"{seconds}{fraction}S")]
    text = "".join(part for amount, part in time if amount)
    days = f"{duration.days}D" if duration.days else ""
    return f"P{days}T{text}" if text else f"P{days or 'T0S'}"


def _seconds(value: object) -> Decimal:
    match value:
        case timedelta():
            return Decimal(value // timedelta(microseconds=1)).scaleb(-6)
        case int() | float() if not isinstance(value, bool):
            return Decimal(str(value))
        case str():
            return _text_seconds(value.strip())
    raise ValueError("neither a text nor a number of seconds")


def _text_seconds(text: str) -> Decimal:
    iso = _ISO.fullmatch(text)
    if iso is not None:
        return sum((_number(amount) * _SECONDS[unit] for unit, amount in iso.groupdict().items() if amount), Decimal(0))
    total, end = Decimal(0), 0
    while part := _PART.match(text.lower(), end):
        unit = _UNITS.get(part[2])
        if unit is None:
            raise ValueError(f"{part[2]!r} is no unit of time (us, ms, s, min, h, d, w)")
        total, end = total + _number(part[1]) * _SECONDS[unit], part.end()
    if end == 0 or end < len(text):
        raise ValueError("not a duration")
    return total


def _number(text: str) -> Decimal:
    return Decimal(text.replace(",", "."))
