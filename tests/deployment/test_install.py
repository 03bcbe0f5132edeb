"""`run` where the environment was made by somebody else."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.engine import ROOT


@pytest.fixture
def checkout() -> Iterator[Path]:
    """Give a checkout that everybody may read, with an environment whose Python cannot be run."""
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        shutil.copy(ROOT / "run", folder / "run")
        (folder / ".venv" / "bin").mkdir(parents=True)
        (folder / ".venv" / "bin" / "python").symlink_to("/nobody-may/python")
        (folder / ".venv" / "pyvenv.cfg").write_text("home = /nobody-may\n")
        for one in (folder, folder / ".venv", folder / ".venv" / "bin"):
            one.chmod(0o555 if os.getuid() else 0o755)
        yield folder
        for one in (folder, folder / ".venv", folder / ".venv" / "bin"):
            one.chmod(0o755)


def test_a_python_that_the_services_may_not_run_is_named(checkout: Path) -> None:
    done = subprocess.run(
        [checkout / "run", "migrate"],
        user=None if os.getuid() else "nobody",
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "may not run the Python of" in done.stderr and "from /nobody-may. Make" in done.stderr
    assert (checkout / ".venv" / "bin" / "python").is_symlink(), "nothing was made anew"
