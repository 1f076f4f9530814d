"""The main job in one call: find the neurons that never switch, rewrite, and prove that nothing changed."""

from __future__ import annotations

import os

import numpy as np

from reludsl.backend import Backend, FloatArray
from reludsl.domain import Domain
from reludsl.errors import InvalidInput, member
from reludsl.expr import Input
from reludsl.network import Network
from reludsl.progress import OnProgress, silent
from reludsl.rewrite import Compression, FoldPolicy, rewrite_network
from reludsl.stability import Facts, Method, stable


def compress(
    network: Network,
    where: Input | Domain,
    *,
    facts: Facts | None = None,
    approximate: float | None = None,
    fold: FoldPolicy | str = FoldPolicy.AUTO,
    dtype: type[np.floating] = np.float32,
    method: Method | str = Method.AUTO,
    data: FloatArray | None = None,
    backend: Backend | str | None = None,
    time_limit: float | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    threads: int = 1,
    seed: int = 0,
    progress: OnProgress = silent,
) -> Compression:
    """A network with the same outputs on the domain and no more neurons (Serra et al. 2020, LEO; 2021, LEO++).

    Args:
        where: the domain, or an input that has one.
        facts: of an earlier `stable`. They say where to rewrite; the proof then rests on linear bounds
            computed anew, so that a wrong fact makes the result unproved. Without facts `stable` is called
            here, and its proved bounds carry the proof.
        approximate: what each output may change by on the domain. Neurons that are nearly stable go then too, as long
            as the proved bound stays within it: `Compression.error`, `Compression.within`. None and 0 mean lossless,
            and what is within the tolerance of lossless adds nothing to it.
        fold: when a stage of stable neurons is folded into the next: auto (parameters must not grow),
            always, never.
        dtype: type of the file to be written; float64 is used where float32 would cost neurons.
        method, data, backend, time_limit, checkpoint, threads, seed, progress: see `reludsl.stability.stable`.

    >>> from reludsl.domain import Box
    >>> from reludsl.layers import Affine, relu
    >>> net = Network.chain([Affine(np.array([[1.0], [-1.0]]), np.array([0.0, -2.0])), relu,
    ...                      Affine(np.array([[3.0, 5.0]]), np.zeros(1))], (1,))
    >>> smaller = compress(net, Box([-1.0], [1.0]))
    >>> smaller.network.neurons, smaller.proved, round(smaller.max_output_error, 9)
    (1, True, 0.0)
    """
    policy = member(FoldPolicy, fold, "fold policy")
    if facts is not None:
        if facts.network is not network:
            raise InvalidInput("the facts are about another network; give those that `stable` returned for this one")
        return rewrite_network(
            network, where, facts.bounds, approximate=approximate, fold=policy, dtype=dtype, progress=progress
        )
    found = stable(
        network,
        where,
        method=method,
        data=data,
        backend=backend,
        time_limit=time_limit,
        checkpoint=checkpoint,
        threads=threads,
        seed=seed,
        progress=progress,
    )
    return rewrite_network(
        network,
        where,
        found.bounds,
        proved=found.bounds,
        approximate=approximate,
        fold=policy,
        dtype=dtype,
        progress=progress,
    )
