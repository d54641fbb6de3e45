"""`make bench`, `make bench-ingest`: runs the measurements named, or all, and says whether each aim holds."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path

from tests.benchmarks.report import Measured, table, write

NAMES = ["ingest", "latency", "memory", "echo"]


def main(wanted: list[str]) -> int:
    unknown = set(wanted) - set(NAMES)
    if unknown:
        print(f"there is no benchmark {', '.join(unknown)}; there are {', '.join(NAMES)}", file=sys.stderr)
        return 2
    results: list[Measured] = []
    for name in wanted or NAMES:
        print(f"  {name} …", flush=True)
        results += import_module(f"tests.benchmarks.{name}").measure()
    print(table(results))
    write(results, Path("var/bench.json"))
    return 0 if all(result.holds for result in results) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
