"""Benchmarks: `python -m benchmarks` runs all, `--smoke` small versions of them, a name only that one.

`--full` adds what takes many minutes. `reludsl bench` runs the questions of `benchmarks/queries` by themselves.

Each prints absolute figures, which depend on the machine, and asserts a ratio of two things measured in one run,
which does not.

`train_digits` makes the demo network, `train_published` the page `docs/results/published-stability.md`: each is run by
itself.
"""
