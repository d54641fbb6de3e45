"""The package that owners install holds all that it needs, and no more."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "local_agent"
IGNORED = shutil.ignore_patterns("__pycache__", "build", "*.egg-info")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    folder = tmp_path_factory.mktemp("wheel")
    shutil.copytree(SOURCE, folder / "local_agent", ignore=IGNORED)
    # As pip does it (PEP 517), but without pip, which our own environment does not have.
    build = f"from setuptools import build_meta; build_meta.build_wheel({str(folder)!r})"
    subprocess.run([sys.executable, "-c", build], check=True, cwd=folder / "local_agent", capture_output=True)
    return zipfile.ZipFile(next(folder.glob("*.whl")))


def test_every_file_of_the_source_is_in_it(wheel: zipfile.ZipFile) -> None:
    wanted = {
        path.relative_to(ROOT).as_posix()
        for path in SOURCE.rglob("*")
        if path.suffix in (".py", ".toml", ".md", ".typed")
        and not {"build", "__pycache__"} & set(path.parts)
        and path.name not in ("pyproject.toml", "README.md")
    }
    packed = {name for name in wheel.namelist() if name.startswith("local_agent/")}
    assert packed == wanted


def test_it_is_called_aimatrix_and_so_is_its_command(wheel: zipfile.ZipFile) -> None:
    info = f"{Path(str(wheel.filename)).name.split('-py3')[0]}.dist-info"
    assert b"aimatrix = local_agent.cli:main" in wheel.read(f"{info}/entry_points.txt")
    assert b"Name: aimatrix" in wheel.read(f"{info}/METADATA")


def test_it_needs_four_packages() -> None:
    project = tomllib.loads((SOURCE / "pyproject.toml").read_text())["project"]
    names = [requirement.split(">")[0] for requirement in project["dependencies"]]
    assert names == ["click", "httpx", "msgspec", "websockets"]
