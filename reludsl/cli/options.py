"""Arguments and options that several commands have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

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
MethodOption = Annotated[
    str,
    typer.Option(
        "--method",
        help="auto (witnesses and bounds first), one-solve (one integer program for all neurons) or per-neuron",
    ),
]
ModeOption = Annotated[
    str, typer.Option("--mode", help="Of one-solve: restart, or in-tree (callbacks, where the solver has them)")
]
CheckpointOption = Annotated[
    Path | None,
    typer.Option("--checkpoint", help="A file to which the run is saved, and from which a later one goes on"),
]
StrictOption = Annotated[
    bool, typer.Option("--strict", help="A pre-activation that only touches a break counts as a switch")
]
FoldOption = Annotated[
    str,
    typer.Option("--fold", help="Fold stages of stable neurons: auto (parameters must not grow), always, never"),
]
ApproximateOption = Annotated[
    float | None,
    typer.Option("--approximate", metavar="EPS", help="Each output may change by so much on the domain; default: none"),
]
DataOption = Annotated[Path | None, typer.Option("--data", help="Inputs that may serve as witnesses, .npy")]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON object on stdout")]
BackendOption = Annotated[str | None, typer.Option("--backend", help="Solver; see `reludsl backends`")]
TimeOption = Annotated[float | None, typer.Option("--time-limit", help="Seconds for the whole run", min=0.0)]
ThreadsOption = Annotated[int, typer.Option("--threads", help="Threads of the solver", min=1)]
SeedOption = Annotated[int, typer.Option("--seed", help="Seed of every random choice", min=0)]
BackendsOption = Annotated[
    str | None, typer.Option("--backends", metavar="A,B,..", help="Solvers to ask; default: all that are installed")
]
FormulationOption = Annotated[
    str, typer.Option("--formulation", help="Of neurons: big-m, published, indicator, hull, partition:N, cuts:R:K")
]
FormulationsOption = Annotated[
    str, typer.Option("--formulations", metavar="A,B,..", help="Several of them, see verify --formulation")
]
MarginOption = Annotated[
    float, typer.Option("--margin", help="Every comparison of the property has to hold by so much", min=0.0)
]
SearchOption = Annotated[
    bool,
    typer.Option("--search", help="Look for inputs before anything is solved for, which may leave nothing to solve"),
]
