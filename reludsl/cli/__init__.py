"""The command line: inspect, bounds, certify, compress, verify, compare, count, plane,
region-bounds, trajectory, bench, backends.

Every command prints a table for people, or one JSON object with `--json`. Progress goes to stderr once a
command takes more than a second. Exit status: 0 an answer was given (unknown included), 2 bad input (one line
on stderr), 3 the solver failed.

    app          the application, and how errors end it
    options      what commands have in common
    inputs       from words to networks, domains and backends
    progress     a line on stderr
    networks     inspect, bounds, certify, compress
    properties   verify, compare
    regions      count, plane
    region_bounds  region-bounds
    trajectory   trajectory
    measuring    bench, backends
"""

from __future__ import annotations

from reludsl.cli import measuring, networks, properties, region_bounds, regions, trajectory
from reludsl.cli.app import app as app
from reludsl.cli.app import main as main

__all__ = ["app", "main", "measuring", "networks", "properties", "region_bounds", "regions", "trajectory"]
