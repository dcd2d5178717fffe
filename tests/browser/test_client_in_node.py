"""The published JavaScript client, outside any browser, against the real gateway."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.browser.conftest import Served
from tests.web.test_node import NODE

pytestmark = pytest.mark.spark

SCRIPT = Path(__file__).parents[1] / "web" / "against_gateway.mjs"
DEMAND = Path(__file__).parents[1] / "web" / "demand_against_gateway.mjs"


def test_it_subscribes_steers_and_keeps_account(demo: Served) -> None:
    url = demo.url.replace("http", "ws", 1) + "/ws"
    done = subprocess.run([NODE, SCRIPT, url], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    offsets = [each["offset"] for each in told["seen"]]
    assert offsets == list(range(offsets[0], offsets[0] + len(offsets)))
    assert told["counts"]["violations"] == told["counts"]["gaps"] == 0
    applied = told["applied"]
    assert applied["revision"] == told["reply"]
    assert all(each["revision"] >= applied["revision"] for each in told["seen"] if each["batch"] >= applied["batch"])
    assert told["refusal"]["code"] == "invalid_parameters"
    assert "threshold" in told["refusal"]["faults"][0]["path"]
    assert told["state"] == "ended"


def test_demand_changes_and_arrow(demo: Served) -> None:
    url = demo.url.replace("http", "ws", 1) + "/ws"
    done = subprocess.run([NODE, DEMAND, url], capture_output=True, text=True, timeout=90, check=False)
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    assert seen["window"] == {"count": 10, "violations": 0}
    assert seen["asked"] == {"after_two": 2, "after_three": 3, "violations": 0}
    shaped = seen["shaped"]
    assert shaped["violations"] == 0
    for each in shaped["metrics"]:
        changed = each["offset"] > shaped["changed_at"]
        assert set(each["metrics"]) <= {"swap" if changed else "memory"}
        assert each["wide"] == (changed and each["metrics"] != [])
    assert seen["refusal"]["code"] == "invalid_frame"
    assert seen["refusal"]["path"] == "$.select[0]"
    assert "select" not in seen["refusal"]
    assert seen["arrow"]["violations"] == 0
    assert set(seen["arrow"]["values"]) == {"number"}
    for table in seen["arrow"]["tables"]:
        assert table["columns"] == ["metric", "value"]
        assert table["count"] == table["rows"]
