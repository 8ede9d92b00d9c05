"""make sets up once: after a set-up that failed it tries again, after one that ended it does not."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.parts import skip_without

ROOT = Path(__file__).parents[2]
PYTHON = """#!/bin/sh
[ "$1" = -c ] && exit 0
mkdir -p .venv/bin
printf '#!/bin/sh\\ncp tools/uv .venv/bin/uv\\n' > .venv/bin/python
chmod +x .venv/bin/python
"""
"""Stands in for a Python: it makes environments whose pip installs the uv of the test."""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    if shutil.which("make") is None:
        skip_without("make", "install make")
    for name in ("Makefile", "pyproject.toml", "uv.lock"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / "tools").mkdir()
    executable(tmp_path / "python", PYTHON)
    return tmp_path


def executable(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o755)


def set_up(checkout: Path, uv: str) -> subprocess.CompletedProcess[str]:
    executable(checkout / "tools" / "uv", f"#!/bin/sh\n{uv}\n")
    environment = {"PATH": os.environ["PATH"], "PYTHON": "./python"}
    return subprocess.run(
        ["make", ".venv"], cwd=checkout, env=environment, capture_output=True, text=True, check=False, timeout=30
    )


def test_a_set_up_that_failed_is_tried_again_and_one_that_ended_is_not(checkout: Path) -> None:
    assert set_up(checkout, "echo no network; exit 1").returncode != 0
    (checkout / ".venv" / "bin" / "uv").unlink()
    ended = set_up(checkout, "echo synced")
    assert (ended.returncode, "synced" in ended.stdout) == (0, True)
    assert "synced" not in set_up(checkout, "echo synced").stdout
