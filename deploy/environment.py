"""Makes .venv from the hash-locked requirements, and says how long each step took.

    python3 deploy/environment.py base | services | dev

Only the system's Python is needed. A `uv` that is on the machine is used; else the pinned one is installed
into .venv, because pip alone takes minutes for what uv does in seconds.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time

OLDEST = (3, 11)
PARTS = {"base": "Packages", "services": "PostgreSQL and Redis", "dev": "Test and check tools"}
PYTHON = os.path.join(".venv", "bin", "python")
OWN_UV = os.path.join(".venv", "bin", "uv")


def step(what: str, *ways: list[str]) -> None:
    """Runs quietly the first way that works; when none does, shows what the last one said, and ends."""
    print(f"  {what} … ", end="", flush=True)
    began = time.monotonic()
    for command in ways:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        if not done.returncode:
            print(f"{time.monotonic() - began:.1f} s", flush=True)
            return
    sys.exit(f"failed: {' '.join(command)}\n{done.stdout.decode(errors='replace').strip()}")


def works(*command: str) -> bool:
    """Whether it is there and ends well."""
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def make_environment() -> str:
    """Makes .venv if it is not there, or is broken or too old. Returns the uv to go on with."""
    uv = shutil.which("uv")
    if uv and not works(uv, "--version"):
        uv = None
    if not works(PYTHON, "-c", f"import sys; sys.exit(sys.version_info < {OLDEST})"):
        if not uv and not works(sys.executable, "-c", "import ensurepip"):
            sys.exit("Python's venv module is not complete (Debian, Ubuntu: apt install python3-venv).")
        make = [sys.executable, "-m", "venv", "--clear", ".venv"]
        step("Python environment", [*make, "--without-pip"] if uv else make)
    if not uv and not works(OWN_UV, "--version"):
        pip = [PYTHON, "-m", "pip", "install", "--quiet", "--require-hashes", "-r"]
        step("Installer", [*pip, "requirements/uv.txt"])
    return uv or OWN_UV


def main(part: str) -> None:
    if sys.version_info < OLDEST:
        found = ".".join(map(str, sys.version_info[:3]))
        sys.exit(f"{sys.executable} is Python {found}; 3.11 or newer is needed (make PYTHON=python3.12 …).")
    install = [make_environment(), "pip", "install", "--quiet", "--python", PYTHON]
    locked = [*install, "--compile-bytecode", "--require-hashes", "-r", f"requirements/{part}.txt"]
    # The lock names every file by its hash, so the cache is as good as the registry, and asking takes longer.
    step(PARTS[part], [*locked, "--offline"], locked)
    if part == "base":
        step("Local agent", [*install, "--no-deps", "--no-build-isolation", "--editable", "./local_agent"])


if __name__ == "__main__":
    main(sys.argv[1])
