"""`python -m reludsl` is the `reludsl` command."""

from reludsl.cli import main

main()
