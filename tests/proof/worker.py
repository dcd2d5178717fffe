"""A real worker that kills itself at a chosen point.

`PROOF_AIM="point:passing" PROOF_NOTES=folder python -m tests.proof.worker ...`, and the words of `streams.worker`.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from streams.worker import main
from tests.proof.points import Aim, install

if __name__ == "__main__":
    point, _, passing = os.environ.pop("PROOF_AIM").partition(":")
    install(Aim(point, int(passing or 1), Path(os.environ.pop("PROOF_NOTES"))))
    sys.exit(main())
