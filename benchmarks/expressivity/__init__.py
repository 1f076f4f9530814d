"""The studies of what a network can express, each a function `study` of a module here.

    python -m benchmarks.expressivity NAME [--full] [--seed N] [--out FOLDER] [--json]
    python -m benchmarks.expressivity all --out docs/results     # the page with all of them

What they measure is measured by `reludsl.expressivity` and `reludsl.regions`; here stand the published settings, the
training, and the sentences that compare what is seen with what was published.
"""
