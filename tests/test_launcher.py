"""The launcher, on a small project of its own: a real virtual environment, a real pip, no network."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SHELLS = [shell for shell in ("dash", "bash", "busybox") if shutil.which(shell)]

PYPROJECT = """
[build-system]
requires = []
build-backend = "backend"
backend-path = ["build-backend"]

[project]
name = "rivulet"
version = "1"

[project.optional-dependencies]
worker = []
jre = []
test = []
"""

# The least that pip takes for a build backend: a wheel with a path file, the command, and the extras.
BACKEND = """
from pathlib import Path
from zipfile import ZipFile
ROOT = Path(__file__).parents[1]
METADATA = "Metadata-Version: 2.1\\nName: rivulet\\nVersion: 1\\n" + "".join(
    f"Provides-Extra: {extra}\\n" for extra in ("worker", "jre", "test"))
def build_editable(directory, config_settings=None, metadata_directory=None):
    name = "rivulet-1-py3-none-any.whl"
    with ZipFile(Path(directory) / name, "w") as wheel:
        wheel.writestr("rivulet.pth", str(ROOT))
        wheel.writestr("rivulet-1.dist-info/METADATA", METADATA)
        wheel.writestr("rivulet-1.dist-info/WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        wheel.writestr("rivulet-1.dist-info/entry_points.txt", "[console_scripts]\\nrivulet = gateway.cli:main\\n")
        wheel.writestr("rivulet-1.dist-info/RECORD", "")
    return name
"""

CLI = """
import sys
def main():
    print("cli", sys.argv[1:])
    return 7
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with the real launcher, in a folder with a space in its name."""
    root = tmp_path / "my project"
    for name, text in {
        "pyproject.toml": PYPROJECT,
        "build-backend/backend.py": BACKEND,
        "gateway/__init__.py": "",
        "gateway/cli.py": CLI,
        "streams/__init__.py": "",
        "streams/java.py": "import os, sys\nsys.exit(3 if 'NO_JAVA' in os.environ else 0)\n",
        "streams/archive.py": "print('archive made')\n",
    }.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    shutil.copy(ROOT / "rivulet", root / "rivulet")
    return root


def launch(project: Path, *args: str, shell: str = "dash", **environ: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("RIVULET", "PIP_", "CI"))}
    return subprocess.run(
        [shell, *(["sh"] if shell == "busybox" else []), str(project / "rivulet"), *args],
        cwd="/",
        env={**clean, "RIVULET_PYTHON": sys.executable, "PIP_NO_INDEX": "1", **environ},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


@pytest.mark.parametrize("shell", SHELLS)
def test_first_start_sets_up_and_the_second_does_not(project: Path, shell: str) -> None:
    first = launch(project, "jobs", "--flag", "two words", shell=shell)
    assert first.returncode == 7, first.stderr
    assert first.stdout == "cli ['jobs', '--flag', 'two words']\n"
    assert "making a Python environment" in first.stderr
    assert "the environment is ready" in first.stderr

    second = launch(project, "jobs", shell=shell)
    assert (second.returncode, second.stdout, second.stderr) == (7, "cli ['jobs']\n", "")


def test_through_a_symbolic_link_the_environment_is_the_same(project: Path, tmp_path: Path) -> None:
    assert launch(project, "version").returncode == 7
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "rivulet").symlink_to("../my project/rivulet")
    linked = launch(tmp_path / "elsewhere", "version")
    assert (linked.returncode, linked.stderr) == (7, "")


def test_the_archive_is_made_once_and_only_for_what_starts_spark(project: Path) -> None:
    assert "archive made" not in launch(project, "version").stdout
    assert "archive made" in launch(project, "demo").stdout
    assert "archive made" not in launch(project, "demo").stdout


def test_changed_requirements_are_installed_into_the_same_environment(project: Path) -> None:
    launch(project, "version")
    marker = project / ".venv" / "kept"
    marker.touch()
    (project / "pyproject.toml").write_text(PYPROJECT + "# more\n")
    again = launch(project, "version")
    assert again.returncode == 7
    assert "installing what is needed" in again.stderr
    assert marker.exists()


def test_an_interrupted_set_up_is_made_anew(project: Path) -> None:
    launch(project, "version")
    (project / ".venv" / "rivulet-unfinished").touch()
    (project / ".venv" / "rivulet-stamp").unlink()
    (project / ".venv" / "half").touch()
    again = launch(project, "version")
    assert again.returncode == 7
    assert "making a Python environment" in again.stderr
    assert not (project / ".venv" / "half").exists()


def test_a_failed_installation_says_what_to_do_and_the_next_start_mends_it(project: Path) -> None:
    backend = project / "build-backend" / "backend.py"
    backend.write_text("raise SystemExit('broken on purpose')")
    failed = launch(project, "version")
    assert failed.returncode == 1
    assert "PIP_INDEX_URL" in failed.stderr
    backend.write_text(BACKEND)
    assert launch(project, "version").returncode == 7


def test_without_java_the_jre_is_installed(project: Path) -> None:
    started = launch(project, "version", NO_JAVA="1")
    assert started.returncode == 7
    assert "no Java 17 or 21 found: installing one from PyPI" in started.stderr


def test_python_too_old(project: Path, tmp_path: Path) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("readlink", "dirname", "cat", "cksum", "mkdir", "rm"):
        (tools / name).symlink_to(str(shutil.which(name)))
    old = tools / "python3"
    old.write_text('#!/bin/sh\nif [ "$1" = --version ]; then echo Python 3.9.2; else exit 1; fi\n')
    old.chmod(0o755)
    refused = subprocess.run(
        [str(shutil.which("dash")), str(project / "rivulet"), "demo"],
        env={"PATH": str(tools)},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert refused.returncode == 1
    assert "Python 3.11 or newer is needed; found: Python 3.9.2" in refused.stderr
    assert "apt-get install python3" in refused.stderr
    assert not (project / ".venv").exists()
    assert not (project / ".venv.lock").exists()


def test_python_without_venv(project: Path, tmp_path: Path) -> None:
    bare = tmp_path / "bare-python"
    bare.write_text(f'#!/bin/sh\ncase $2 in *ensurepip*) exit 1 ;; esac\nexec "{sys.executable}" "$@"\n')
    bare.chmod(0o755)
    refused = launch(project, "demo", RIVULET_PYTHON=str(bare))
    assert refused.returncode == 1
    assert f"apt-get install python{sys.version_info[0]}.{sys.version_info[1]}-venv" in refused.stderr


def test_a_folder_with_something_else_in_it_is_left_alone(project: Path, tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "letter.txt").write_text("dear")
    refused = launch(project, "version", RIVULET_VENV=str(tmp_path / "home"))
    assert refused.returncode == 1
    assert "set RIVULET_VENV" in refused.stderr
    assert (tmp_path / "home" / "letter.txt").read_text() == "dear"


def test_two_starts_at_once_set_up_once(project: Path) -> None:
    command = ["dash", str(project / "rivulet"), "version"]
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("RIVULET", "PIP_"))}
    environ = {**clean, "RIVULET_PYTHON": sys.executable, "PIP_NO_INDEX": "1"}
    starts = [subprocess.Popen(command, env=environ, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    told = [start.communicate(timeout=100)[1] for start in starts]
    assert [start.returncode for start in starts] == [7, 7], told
    assert sum("making a Python environment" in text for text in told) == 1


def test_the_lock_of_a_dead_process_is_taken_over(project: Path) -> None:
    gone = subprocess.Popen(["true"])
    gone.wait()
    lock = project / ".venv.lock"
    lock.mkdir()
    (lock / "pid").write_text(str(gone.pid))
    assert launch(project, "version").returncode == 7
    assert not lock.exists()


def test_test_runs_format_lint_types_and_tests_in_this_order(project: Path) -> None:
    launch(project, "version")
    tools = project / ".venv" / "bin"
    for tool in ("ruff", "mypy"):
        (tools / tool).write_text(f'#!/bin/sh\necho {tool} "$@"\n')
        (tools / tool).chmod(0o755)
    (project / "pytest.py").write_text("import sys\nprint('pytest', sys.argv[1:])\nsys.exit(3)\n")
    chromium = project.parent / "chromium"
    chromium.write_text("#!/bin/sh\n")
    chromium.chmod(0o755)
    tested = launch(project, "test", "-k", "one two", PATH=f"{project.parent}:{os.environ['PATH']}")
    assert tested.returncode == 3, tested.stderr
    assert tested.stdout.splitlines() == [
        "archive made",
        "ruff format --check .",
        "ruff check .",
        "mypy",
        "pytest ['-k', 'one two']",
    ]
    all_of_it = launch(project, "test", PATH=f"{project.parent}:{os.environ['PATH']}")
    assert all_of_it.stdout.splitlines()[-1] == "pytest ['-n', '2', '--dist', 'loadfile', '--no-loadscope-reorder']"
