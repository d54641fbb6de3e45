"""`python -m local_agent` is `aimatrix`."""

from __future__ import annotations

from .cli import main

main(prog_name="aimatrix")
