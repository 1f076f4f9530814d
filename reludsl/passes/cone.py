"""Keep what a question depends on, and take independent parts apart: walks over the constraint graph.

`Program.graph` points from columns to the rows and disjunctions that use them, and on to the column those
define. The ancestors of an objective's columns are its cone; a plain constraint restricts everything in its
component, so that the constraints of that component stay with their own ancestors. Whatever else is there
defines values that nobody asks for, and exists for every input: it goes.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import networkx as nx
import numpy as np
from scipy import sparse

from reludsl.backend import IntArray
from reludsl.program import AffineMap, Columns, Disjunctions, NameKind, Objective, Program, RowBlock

Graph = nx.DiGraph  # of (kind, block name)


def cone(program: Program, columns: IntArray | None = None) -> Program:
    """The blocks that the objective (or the given columns) and the constraints around it depend on.

    >>> program = Program.parse('''
    ... maximize 1 z[0]
    ... columns x
    ...   x[0] in [0, 1]
    ... columns z
    ...   z[0] in [0, 2]
    ... columns later
    ...   later[0] in [0, 4]
    ... rows z
    ...   1 z[0] - 2 x[0] = 0 defines z[0]
    ... rows later
    ...   1 later[0] - 2 z[0] = 0 defines later[0]
    ... ''')
    >>> [block.name for block in cone(program).columns]
    ['x', 'z']
    """
    return dependencies(program, columns).program


def dependencies(program: Program, columns: IntArray | None = None) -> Part:
    """What `cone` keeps, and where its columns stand in the whole."""
    if columns is None:
        columns = np.zeros(0, dtype=np.int64) if program.objective is None else program.objective.index
    graph = program.graph()
    wanted = {("columns", name) for name in _blocks_of(program, columns)}
    plain = _constraints(program)
    kept: set[tuple[NameKind, str]] = set()
    for component in nx.weakly_connected_components(graph):
        if wanted & component:
            roots = (wanted | plain) & component
            kept |= roots.union(*(nx.ancestors(graph, root) for root in roots))
            # columns that a kept constraint uses stay, whatever defines them
    kept |= {u for node in kept for u in graph.predecessors(node)}
    return extract(program, kept)


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """A sub-program, and the columns of the whole that it holds.

    The program's columns are its original ones: whatever it is lowered to, `original` gives the values of
    `columns`. What those mean to passes made before is up to the trace of the whole.
    """

    program: Program
    columns: IntArray


def parts(program: Program) -> list[Part]:
    """The connected components of the constraint graph, each with its share of the objective.

    The objective's offset goes with the first, so that the optima add up.
    """
    components = list(nx.weakly_connected_components(program.graph()))
    if len(components) <= 1:
        return [Part(replace(program, trace=None), np.arange(program.size))]
    goal = program.objective
    rest = program if goal is None else program.with_objective(replace(goal, offset=0.0))
    found = [extract(rest if k else program, component) for k, component in enumerate(components)]
    return [Part(replace(part.program, trace=None), part.columns) for part in found]


def _constraints(program: Program) -> set[tuple[NameKind, str]]:
    """Blocks that hold a row or disjunction which defines nothing."""
    found: set[tuple[NameKind, str]] = {("rows", b.name) for b in program.rows if (b.defines < 0).any()}
    found |= {("disjunctions", g.name) for g in program.disjunctions if (g.defines < 0).any()}
    found |= {("indicators", b.name) for b in program.indicators}
    return found | {("columns", c.name) for c in program.columns if c.integer.any()}


def _blocks_of(program: Program, columns: IntArray) -> set[str]:
    ends = np.cumsum([b.size for b in program.columns])
    return {program.columns[k].name for k in np.searchsorted(ends, columns, side="right").tolist()}


def extract(program: Program, kept: Iterable[tuple[NameKind, str]]) -> Part:
    """The blocks named, with columns renumbered. Columns left out have NaN for a trace: nobody may ask."""
    names = set(kept)
    masks = [np.full(b.size, ("columns", b.name) in names) for b in program.columns]
    stay = np.concatenate([np.zeros(0, dtype=np.bool_), *masks])
    index = np.flatnonzero(stay)
    new_index = np.full(program.size, -1, dtype=np.int64)
    new_index[index] = np.arange(index.size)

    def over(matrix: sparse.csr_array) -> sparse.csr_array:
        return sparse.csr_array(
            (matrix.data, new_index[matrix.indices], matrix.indptr), shape=(matrix.shape[0], index.size)
        )

    def renamed(defines: IntArray) -> IntArray:
        return np.where(defines >= 0, new_index[defines], -1)

    rows = tuple(
        RowBlock(b.name, over(b.matrix), b.lower, b.upper, renamed(b.defines))
        for b in program.rows
        if ("rows", b.name) in names
    )
    groups = tuple(
        Disjunctions(
            g.name,
            over(g.matrix),
            g.lower,
            g.upper,
            g.reach_lower,
            g.reach_upper,
            g.branches,
            g.starts,
            renamed(g.defines),
        )
        for g in program.disjunctions
        if ("disjunctions", g.name) in names
    )
    conditions = tuple(
        replace(b, matrix=over(b.matrix), column=new_index[b.column])
        for b in program.indicators
        if ("indicators", b.name) in names
    )
    columns: list[Columns] = [b for b in program.columns if ("columns", b.name) in names]
    goal = _objective(program.objective, new_index)
    return Part(Program(tuple(columns), rows, groups, goal, _trace(program, stay), conditions), index)


def _objective(goal: Objective | None, new_index: IntArray) -> Objective | None:
    if goal is None:
        return None
    here = new_index[goal.index] >= 0
    return Objective(new_index[goal.index][here], goal.value[here], goal.sense, goal.offset)


def _trace(program: Program, stay: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> AffineMap:
    original = program.original
    lost = abs(original.matrix) @ (~stay).astype(np.float64) > 0
    matrix = sparse.csr_array(sparse.diags_array((~lost).astype(np.float64)) @ original.matrix)[:, stay]
    return AffineMap(sparse.csr_array(matrix), np.where(lost, np.nan, original.offset), original.error)
