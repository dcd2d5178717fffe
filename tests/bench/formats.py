"""What a publication costs the JavaScript client as rows, as columns and as Arrow: `python -m tests.bench.formats`."""

from __future__ import annotations

import json
import subprocess
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa

from gateway.core.arrow import table_columns_json, table_ipc, table_rows_json
from gateway.protocol.codec import join_binary
from tests.web.test_node import NODE

SCRIPT = Path(__file__).parent / "formats.mjs"
SIZES = (10, 100, 1_000, 10_000, 100_000)
HEAD = {"type": "publication", "sub": 1, "epoch": "0123456789ab", "offset": 7, "revision": 2, "batch": 7}


def table(size: int) -> pa.Table:
    """Five columns, as metrics have them."""
    start = datetime(2026, 1, 2, tzinfo=UTC)
    return pa.table(
        {
            "at": pa.array([start + timedelta(milliseconds=n) for n in range(size)], pa.timestamp("us", "UTC")),
            "metric": [f"cpu{n % 16}" for n in range(size)],
            "value": [n * 1.618 % 100 for n in range(size)],
            "deviation": [n * 2.718 % 7 for n in range(size)],
            "samples": pa.array(range(size), pa.int64()),
        }
    )


def main() -> None:
    """Measure, and print a table."""
    with tempfile.TemporaryDirectory() as folder:
        for size in SIZES:
            rows = table(size)
            head = json.dumps(HEAD).encode()
            for form, data in {
                "rows": head[:-1] + b',"rows":' + table_rows_json(rows) + b"}",
                "columns": head[:-1] + b',"columns":' + table_columns_json(rows) + b"}",
                "arrow": join_binary(head, table_ipc(rows)),
            }.items():
                (Path(folder) / f"{size}.{form}").write_bytes(data)
        asked = json.dumps({"folder": folder, "sizes": SIZES})
        done = subprocess.run([NODE, SCRIPT, asked], capture_output=True, text=True, check=True)
    measured = json.loads(done.stdout)
    forms = list(measured[0])
    print("| rows | " + " | ".join(forms) + " |")
    print("|" + "---:|" * (len(forms) + 1))
    for size, results in zip(SIZES, measured, strict=True):
        cells = [f"{results[form]['us']:,.0f} us, {results[form]['bytes'] / 1024:,.1f} KiB" for form in forms]
        print(f"| {size:,} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
