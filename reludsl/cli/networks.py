"""Commands about a network: inspect, bounds, certify, compress."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any

import typer

from reludsl.cli.app import app
from reludsl.cli.inputs import (
    check_writable,
    choice,
    chosen_backend,
    chosen_domain,
    load_array,
    read_source,
    save_arrays,
)
from reludsl.cli.options import (
    ApproximateOption,
    BackendOption,
    BallOption,
    BoxOption,
    CheckpointOption,
    ClipOption,
    DataOption,
    FoldOption,
    JsonOption,
    MethodOption,
    ModeOption,
    NetFile,
    SeedOption,
    StrictOption,
    ThreadsOption,
    TimeOption,
)
from reludsl.cli.progress import progress
from reludsl.compress import compress as compress_network
from reludsl.io import write_npz, write_onnx
from reludsl.query import METHODS, network_bounds
from reludsl.report import bounds_table, certify_table, compress_table, inspect_table, show
from reludsl.rewrite import FoldPolicy
from reludsl.stability import Facts, Method, Mode, stable

BOUND_METHODS = METHODS
CERTIFY_METHODS = tuple(m.value for m in Method)
CERTIFY_MODES = tuple(m.value for m in Mode)
FOLDS = tuple(p.value for p in FoldPolicy)


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
    source, _ = read_source(net), chosen_backend(backend)
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
    method: Annotated[
        str, typer.Option("--method", help="From cheap to tight: interval, crown, optimised, lp, milp")
    ] = "crown",
    json_: JsonOption = False,
    backend: BackendOption = None,
    time_limit: TimeOption = None,
    threads: ThreadsOption = 1,
    seed: SeedOption = 0,
) -> None:
    """Bounds of every pre-activation layer, the output layer last."""
    choice("--method", method, BOUND_METHODS)
    source, solver = read_source(net), chosen_backend(backend)
    network = source.network
    domain = chosen_domain(network, box, ball, clip)
    start = time.perf_counter()
    with progress() as report:
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
    mode: ModeOption = "restart",
    data: DataOption = None,
    witnesses: Annotated[
        Path | None, typer.Option("--witnesses", help="Write two inputs per unstable neuron, .npz")
    ] = None,
    strict: StrictOption = False,
    json_: JsonOption = False,
    backend: BackendOption = None,
    time_limit: TimeOption = None,
    checkpoint: CheckpointOption = None,
    threads: ThreadsOption = 1,
    seed: SeedOption = 0,
) -> None:
    """Which neurons never switch on the domain. Ctrl-C ends it with what is proved by then."""
    choice("--method", method, CERTIFY_METHODS)
    choice("--mode", mode, CERTIFY_MODES)
    check_writable(witnesses, ".npz")
    check_writable(checkpoint)
    source, solver = read_source(net), chosen_backend(backend)
    network = source.network
    domain = chosen_domain(network, box, ball, clip)
    with progress() as report:
        facts = stable(
            network,
            domain,
            method=method,
            mode=mode,
            data=None if data is None else network.batch(load_array(data)),
            backend=solver,
            strict=strict,
            time_limit=time_limit,
            checkpoint=checkpoint,
            threads=threads,
            seed=seed,
            progress=report,
        )
    if witnesses is not None:
        save_arrays(witnesses, facts.switching_inputs())
    show(_certified(facts), json_, certify_table(net.name, facts), source.note)


@app.command()
def compress(
    net: NetFile,
    out: Annotated[Path, typer.Option("--out", help="Where the smaller network goes: .onnx or .npz")],
    box: BoxOption = None,
    ball: BallOption = None,
    clip: ClipOption = None,
    fold: FoldOption = "auto",
    approximate: ApproximateOption = None,
    method: MethodOption = "auto",
    data: DataOption = None,
    json_: JsonOption = False,
    backend: BackendOption = None,
    time_limit: TimeOption = None,
    checkpoint: CheckpointOption = None,
    threads: ThreadsOption = 1,
    seed: SeedOption = 0,
) -> None:
    """The same function on the domain with fewer neurons, proved; with --approximate, nearly the same."""
    choice("--fold", fold, FOLDS)
    choice("--method", method, CERTIFY_METHODS)
    check_writable(checkpoint)
    check_writable(out, ".onnx", ".onnx.gz", ".npz")
    start = time.perf_counter()
    source, solver = read_source(net), chosen_backend(backend)
    network = source.network
    domain = chosen_domain(network, box, ball, clip)
    with progress() as report:
        result = compress_network(
            network,
            domain,
            approximate=approximate,
            fold=fold,
            method=method,
            data=None if data is None else network.batch(load_array(data)),
            backend=solver,
            time_limit=time_limit,
            checkpoint=checkpoint,
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
        **({} if result.asked is None else {"approximate": result.asked, "within": result.within}),
        "seconds": seconds,
    }
    show(answer, json_, compress_table(net.name, out, result, seconds), source.note)


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
