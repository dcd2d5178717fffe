"""What the functions of the proof must give, computed from the input and the parameters alone, without Spark."""

from __future__ import annotations

from collections import Counter
from typing import Any

Values = dict[str, Any]
Rows = list[dict[str, Any]]
OUTPUTS = {"light": ("kept", "sums"), "passing": ("kept", "sums"), "counting": ("sums",)}


class Model:
    """One epoch of one job: batch after batch, each told with the parameters that it claims."""

    def __init__(self, function: str) -> None:
        self._function = function
        self._next = 0
        self._counts: Counter[int] = Counter()
        self._weights: Counter[int] = Counter()

    def batch(self, values: Values) -> dict[str, Rows]:
        """The rows of each output of the next micro-batch."""
        size = min(values["rows"], values["$max_rows"] or values["rows"])
        numbers = range(self._next, self._next + size)
        self._next += size
        weights = {rule["digit"]: rule["weight"] for rule in values["rules"]}
        label = f"{values['label']}/{values['salt']}"
        kept = [
            {"value": n, "weight": weights[n % 10], "label": label}
            for n in numbers
            if values["minimum"] <= n % 100 <= values["maximum"] and n % 10 in weights
        ]
        if self._function != "counting":
            rules = " ".join(f"{rule['digit']}:{rule['weight']}" for rule in values["rules"])
            weight = sum(row["weight"] for row in kept)
            sums = {"n": len(kept), "weight": weight, "minimum": values["minimum"], "rules": rules}
            return {"kept": kept, "sums": [sums]}
        touched = {row["value"] % 10 for row in kept}
        self._counts.update(row["value"] % 10 for row in kept)
        for row in kept:
            self._weights[row["value"] % 10] += row["weight"]
        return {
            "sums": [
                {"digit": digit, "n": self._counts[digit], "weight": self._weights[digit], "label": label}
                for digit in sorted(touched)
            ]
        }


def in_order(rows: Rows) -> Rows:
    """Rows whose order Spark does not promise, in one."""
    return sorted(rows, key=lambda row: row.get("digit", 0))
