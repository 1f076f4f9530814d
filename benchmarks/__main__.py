"""`python -m benchmarks [--smoke | --full] [NAME ...]`: exit status 1 when a ratio is above its limit."""

from __future__ import annotations

import argparse
import sys

from benchmarks.cases import CASES, FULL


def main() -> int:
    parser = argparse.ArgumentParser(prog="benchmarks", description="Figures of this machine, ratios of any.")
    parser.add_argument("--smoke", action="store_true", help="small networks, a few seconds in all")
    parser.add_argument("--full", action="store_true", help="also what takes many minutes (margin: all questions)")
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(CASES))
    options = parser.parse_args()
    unknown = [name for name in options.names if name not in CASES]
    if unknown:
        parser.error(f"no benchmark is called {', '.join(unknown)}; there are {', '.join(CASES)}")
    cases = FULL if options.full else CASES
    slow = 0
    for name in options.names or CASES:
        for figure in cases[name](options.smoke):
            print(f"{name:13s} {figure}", flush=True)
            slow += not figure.holds
    return 1 if slow else 0


if __name__ == "__main__":
    sys.exit(main())
