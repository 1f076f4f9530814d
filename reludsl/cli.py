"""The command line: inspect, bounds, certify, compress, backends.

Every command prints a table for people, or one JSON object with `--json`. Progress goes to stderr once a
command takes more than a second. Exit status: 0 an answer was given (unknown included), 2 bad input (one line
on stderr), 3 the solver failed.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, NoReturn

import numpy as np
import typer

from reludsl import plugins
from reludsl.backend import Backend, FloatArray
from reludsl.compress import compress as compress_network
from reludsl.domain import Ball, Box, Domain
from reludsl.errors import FileProblem, InvalidInput, ReludslError, SolverFailed
from reludsl.io import read, read_with_report, write_npz, write_onnx
from reludsl.network import Network
from reludsl.progress import OnProgress, Progress
from reludsl.query import METHODS, network_bounds
from reludsl.report import (
    backends_table,
    bounds_table,
    certify_table,
    compress_table,
    inspect_table,
    show,
)
from reludsl.rewrite import FoldPolicy
from reludsl.stability import Facts, Method, stable

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)

NetFile = Annotated[Path, typer.Argument(help="Network file: .onnx, .onnx.gz or .npz", metavar="NET")]
BoxOption = Annotated[
    tuple[str, str] | None,
    typer.Option(
        "--box", metavar="LO HI", help="Domain LO <= x <= HI, numbers or .npy files; default: what the file states"
    ),
]
BallOption = Annotated[
    tuple[str, float] | None,
    typer.Option("--ball", metavar="POINT.npy EPS", help="Domain: the L-infinity ball around a point"),
]
ClipOption = Annotated[
    tuple[str, str] | None, typer.Option("--clip", metavar="LO HI", help="Cut the ball to LO <= x <= HI")
]
MethodOption = Annotated[str, typer.Option("--method", help="auto (witnesses and bounds first) or per-neuron (solves)")]
StrictOption = Annotated[
    bool, typer.Option("--strict", help="A pre-activation that only touches a break counts as a switch")
]
FoldOption = Annotated[
    str,
    typer.Option("--fold", help="Fold stages of stable neurons: auto (parameters must not grow), always, never"),
]
DataOption = Annotated[Path | None, typer.Option("--data", help="Inputs that may serve as witnesses, .npy")]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON object on stdout")]
BackendOption = Annotated[str | None, typer.Option("--backend", help="Solver; see `reludsl backends`")]
TimeOption = Annotated[float | None, typer.Option("--time-limit", help="Seconds for the whole run", min=0.0)]
ThreadsOption = Annotated[int, typer.Option("--threads", help="Threads of the solver", min=1)]
SeedOption = Annotated[int, typer.Option("--seed", help="Seed of every random choice")]

# typer exports this one of its usage errors only; their common base is what `main` catches
UsageProblem: Any = next(c for c in typer.BadParameter.__mro__ if c.__name__ == "ClickException")

BOUND_METHODS = METHODS
CERTIFY_METHODS = tuple(m.value for m in Method)
FOLDS = tuple(p.value for p in FoldPolicy)


def _version(wanted: bool) -> None:
    if wanted:
        sys.stdout.write(f"reludsl {version('reludsl')}\n")
        raise typer.Exit


@app.callback(no_args_is_help=True)
def _top(
    version_: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Say and stop")] = False,
) -> None:
    """Questions about trained piecewise-linear networks, answered with proofs."""


@app.command()
def inspect(
    net: NetFile,
    json_: JsonOption = False,
    backend: BackendOption = None,
    time_limit: TimeOption = None,
    threads: ThreadsOption = 1,
    seed: SeedOption = 0,
) -> None:
    """What the network is made of."""
    source, _ = _read(net), _backend(backend)
    network = source.network
    layers = [{"name": n.name, "kind": n.layer.kind, "shape": list(network.shapes[n.name])} for n in network.nodes]
    answer = {"layers": layers, "neurons": network.neurons, "parameters": network.parameters}
    show(answer, json_, inspect_table(net.name, network), source.note)


@app.command()
def bounds(
    net: NetFile,
    box: BoxOption = None,
    ball: BallOption = None,
    clip: ClipOption = None,
    method: Annotated[str, typer.Option("--method", help="From cheap to tight: interval, crown, lp, milp")] = "crown",
    json_: JsonOption = False,
    backend: BackendOption = None,
    time_limit: TimeOption = None,
    threads: ThreadsOption = 1,
    seed: SeedOption = 0,
) -> None:
    """Bounds of every pre-activation layer, the output layer last."""
    _choice("--method", method, BOUND_METHODS)
    source, solver = _read(net), _backend(backend)
    network = source.network
    domain = _domain(network, box, ball, clip)
    start = time.perf_counter()
    with _progress() as report:
        found = network_bounds(
            network,
            domain,
            method=method,
            backend=solver,
            time_limit=time_limit,
            threads=threads,
            seed=seed,
            progress=report,
        )
    seconds = time.perf_counter() - start
    layers = [
        {
            "name": stage.name,
            "lower": found.pre(stage).lower.tolist(),
            "upper": found.pre(stage).upper.tolist(),
            "unstable": int(found.unstable(stage).sum()),
        }
        for stage in network.stages
    ]
    show({"layers": layers, "seconds": seconds}, json_, bounds_table(found, method, seconds), source.note)


@app.command()
def certify(
    net: NetFile,
    box: BoxOption = None,
    ball: BallOption = None,
    clip: ClipOption = None,
    method: MethodOption = "auto",
    data: DataOption = None,
    witnesses: Annotated[
        Path | None, typer.Option("--witnesses", help="Write two inputs per unstable neuron, .npz")
    ] = None,
    strict: StrictOption = False,
    json_: JsonOption = False,
    backend: BackendOption = None,
    time_limit: TimeOption = None,
    threads: ThreadsOption = 1,
    seed: SeedOption = 0,
) -> None:
    """Which neurons never switch on the domain."""
    _choice("--method", method, CERTIFY_METHODS)
    _writable(witnesses, ".npz")
    source, solver = _read(net), _backend(backend)
    network = source.network
    domain = _domain(network, box, ball, clip)
    with _progress() as report:
        facts = stable(
            network,
            domain,
            method=method,
            data=None if data is None else network.batch(_load(data)),
            backend=solver,
            strict=strict,
            time_limit=time_limit,
            threads=threads,
            seed=seed,
            progress=report,
        )
    if witnesses is not None:
        _save_arrays(witnesses, facts.switching_inputs())
    show(_certified(facts), json_, certify_table(net.name, facts), source.note)


@app.command()
def compress(
    net: NetFile,
    out: Annotated[Path, typer.Option("--out", help="Where the smaller network goes: .onnx or .npz")],
    box: BoxOption = None,
    ball: BallOption = None,
    clip: ClipOption = None,
    fold: FoldOption = "auto",
    method: MethodOption = "auto",
    data: DataOption = None,
    json_: JsonOption = False,
    backend: BackendOption = None,
    time_limit: TimeOption = None,
    threads: ThreadsOption = 1,
    seed: SeedOption = 0,
) -> None:
    """The same function on the domain with fewer neurons, proved."""
    _choice("--fold", fold, FOLDS)
    _choice("--method", method, CERTIFY_METHODS)
    _writable(out, ".onnx", ".onnx.gz", ".npz")
    start = time.perf_counter()
    source, solver = _read(net), _backend(backend)
    network = source.network
    domain = _domain(network, box, ball, clip)
    with _progress() as report:
        result = compress_network(
            network,
            domain,
            fold=fold,
            method=method,
            data=None if data is None else network.batch(_load(data)),
            backend=solver,
            time_limit=time_limit,
            threads=threads,
            seed=seed,
            progress=report,
        )
    if out.name.lower().endswith(".npz"):
        write_npz(result.network, out)
    else:
        write_onnx(
            result.network, out, dtype=result.dtype.type, input_name=source.input_name, output_name=source.output_name
        )
    seconds = time.perf_counter() - start
    answer = {
        "neurons_before": network.neurons,
        "neurons_after": result.network.neurons,
        "parameters_before": network.parameters,
        "parameters_after": result.network.parameters,
        "layers_before": len(network.stages),
        "layers_after": len(result.network.stages),
        **result.counts,
        "max_output_error": result.max_output_error,
        "equivalence": "proved" if result.proved else "unproved",
        "seconds": seconds,
    }
    show(answer, json_, compress_table(net.name, out, result, seconds), source.note)


@app.command()
def backends(
    json_: JsonOption = False,
    backend: BackendOption = None,
    time_limit: TimeOption = None,
    threads: ThreadsOption = 1,
    seed: SeedOption = 0,
) -> None:
    """The solvers that reludsl knows of, and what they can do; with --backend that one alone."""
    chosen = _backend(backend)
    found = [info for info in plugins.installed() if chosen is None or info.name == chosen.name]
    rows = [
        {
            "name": b.name,
            "version": b.version,
            "capabilities": [str(c.name).lower() for c in b.capabilities],
            "installed": b.installed,
        }
        for b in found
    ]
    show({"backends": rows}, json_, backends_table(found))


def _certified(facts: Facts) -> dict[str, Any]:
    layers = [
        {
            "name": s.stage.name,
            "width": s.stage.size,
            "stably_active": s.stably_active.tolist(),
            "stably_inactive": s.stably_inactive.tolist(),
            "unstable": s.unstable.tolist(),
            "unknown": s.unknown.tolist(),
        }
        for s in facts.stages
    ]
    return {
        "layers": layers,
        "neurons": facts.neurons,
        "decided": facts.neurons - facts.undecided,
        "unknown": facts.undecided,
        "stages": [{"name": r.name, "decided": r.decided, "seconds": r.seconds} for r in facts.rungs],
        "seconds": facts.seconds,
    }


def _choice(option: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise InvalidInput(f"{option} {value} is not built; there are {', '.join(known)}")


@dataclass(frozen=True, slots=True)
class _Source:
    """A network that was read, how its import was checked, and the tensor names of its file."""

    network: Network
    note: str = ""
    input_name: str = "input"
    output_name: str = "output"


def _read(path: Path) -> _Source:
    if path.name.lower().endswith(".npz"):
        return _Source(read(path))
    network, report = read_with_report(path)
    note = f"import not checked: {report.reason}"
    if report.difference is not None:
        note = f"import checked: at most {report.difference:.2g} from onnxruntime on random points"
    return _Source(network, note, report.input_name, report.output_name)


def _backend(name: str | None) -> Backend | None:
    """A solver that was named is looked up at once, whether it will be needed or not."""
    return None if name is None else plugins.load(name)


def _domain(
    network: Network,
    box: tuple[str, str] | None,
    ball: tuple[str, float] | None,
    clip: tuple[str, str] | None,
) -> Domain:
    size = network.input_size
    if box is not None and ball is not None:
        raise InvalidInput("both --box and --ball are given; the domain is one of them: drop one")
    if clip is not None and ball is None:
        raise InvalidInput("--clip cuts a ball; give --ball POINT.npy EPS too")
    if box is not None:
        return Box(_side(box[0], size, "--box"), _side(box[1], size, "--box"))
    if ball is not None:
        point = _side(ball[0], size, "--ball")
        cut = None if clip is None else (_side(clip[0], size, "--clip"), _side(clip[1], size, "--clip"))
        return Ball(point, ball[1], clip=cut)
    if network.input_box is not None:
        return network.input_box
    raise InvalidInput(
        "no domain is given and the file states none; every claim is about a domain: add --box LO HI, e.g. --box 0 1"
    )


def _side(text: str, size: int, option: str) -> FloatArray:
    """A number, or a .npy file of one number per input."""
    if text.lower().endswith(".npy"):
        values = _load(Path(text)).ravel()
        if values.size not in (1, size):
            raise InvalidInput(f"{option} {text} holds {values.size} numbers, the network takes {size} inputs")
        return np.array(np.broadcast_to(values, (size,)))
    try:
        return np.full(size, float(text))
    except ValueError:
        raise InvalidInput(f"{option} {text} is neither a number nor a .npy file; write e.g. {option} 0 1") from None


def _load(path: Path) -> FloatArray:
    """The numbers of a .npy file."""
    try:
        values = np.load(path, allow_pickle=False)
    except FileNotFoundError:
        raise FileProblem(f"{path} does not exist; check the path") from None
    except (OSError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise FileProblem(f"{path} is no numpy array ({reason}); write it with numpy.save") from None
    if not isinstance(values, np.ndarray) or values.dtype.kind not in "fiub":
        held = values.dtype if isinstance(values, np.ndarray) else "several arrays"
        raise FileProblem(f"{path} holds {held} instead of one array of real numbers; write it with numpy.save")
    return np.asarray(values, dtype=np.float64)


def _writable(path: Path | None, *suffixes: str) -> None:
    """Refuse before the work is done, not after it."""
    if path is None:
        return
    if not path.name.lower().endswith(suffixes):
        raise FileProblem(f"{path} does not end in {' or '.join(suffixes)}; rename it")
    folder = path.parent
    if not folder.is_dir():
        raise FileProblem(f"the folder {folder} of {path.name} does not exist; create it, or choose another")
    if path.is_dir() or not os.access(folder, os.W_OK):
        raise FileProblem(f"{path} cannot be written; choose another place")


def _save_arrays(path: Path, arrays: dict[str, Any]) -> None:
    import io

    from reludsl.io.files import write_atomically

    held = io.BytesIO()
    np.savez_compressed(held, **arrays)
    write_atomically(path, held.getvalue())


@contextmanager
def _progress() -> Iterator[OnProgress]:
    """A line on stderr that follows the work, from its first second on."""
    from rich.console import Console
    from rich.status import Status

    console = Console(stderr=True)
    status: Status | None = None
    start, spoken = time.perf_counter(), 0.0

    def report(at: Progress) -> None:
        nonlocal status, spoken
        took = time.perf_counter() - start
        if took < 1.0:
            return
        text = f"{at.step}: {at.done} of {at.total} neurons, {took:.0f} s"
        if console.is_terminal:
            if status is None:
                status = console.status(text)
                status.start()
            status.update(text)
        elif took - spoken >= 5.0 or not spoken:
            spoken = took
            console.print(text)

    try:
        yield report
    finally:
        if status is not None:
            status.stop()


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
