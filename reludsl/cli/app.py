"""The application: its commands register here, and its errors become one line and an exit status."""

from __future__ import annotations

import os
import sys
from importlib.metadata import version
from typing import Annotated, Any, NoReturn

import typer

from reludsl.errors import ReludslError, SolverFailed

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)

# typer exports this one of its usage errors only; their common base is what `main` catches
UsageProblem: Any = next(c for c in typer.BadParameter.__mro__ if c.__name__ == "ClickException")


def _version(wanted: bool) -> None:
    if wanted:
        sys.stdout.write(f"reludsl {version('reludsl')}\n")
        raise typer.Exit


@app.callback(no_args_is_help=True)
def _top(
    version_: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Say and stop")] = False,
) -> None:
    """Questions about trained piecewise-linear networks, answered with proofs."""


def _fail(message: str, code: int) -> NoReturn:
    line = " ".join(str(message).split())
    sys.stderr.write(f"reludsl: {line}\n")
    raise SystemExit(code)


def main() -> None:
    """Entry point of the `reludsl` command."""
    command = typer.main.get_command(app)
    try:
        code = command.main(standalone_mode=False)
    except SolverFailed as error:
        _fail(str(error), 3)
    except ReludslError as error:
        _fail(str(error), 2)
    except UsageProblem as error:
        _fail(f"{error.format_message()} (see reludsl --help)", 2)
    except (typer.Abort, KeyboardInterrupt):
        _fail("interrupted", 130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(0) from None
    raise SystemExit(code if isinstance(code, int) else 0)
