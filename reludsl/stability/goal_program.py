"""The program of one-solve certification: a network's, with two binaries per goal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from reludsl.backend import BoolArray, FloatArray, IntArray
from reludsl.bounds import Bounds
from reludsl.expr import Input, NodeVariable
from reludsl.formulate import Compiled, compile_program
from reludsl.passes import chosen_binaries, formulated, prune, sparsify, substitute
from reludsl.program import Columns, Program, RowBlock
from reludsl.solve import TOLERANCE
from reludsl.stability.run import Goal

EPSILON = 1e-4
"""Margin of a goal that was claimed and not confirmed, as a share of 1 + the neuron's largest magnitude."""

BUDGET = 1e-6
"""Of `reludsl.passes.sparsify`."""


@dataclass(frozen=True, slots=True, eq=False)
class GoalProgram:
    """The program of a network up to the pre-activations of some goals, with p and q for each goal.

    Args:
        program: lowered, without an objective.
        loose, strict: (k,) columns of p (margin -delta) and q (margin +epsilon).
        z, z_offset, z_error: (k, columns), (k,) twice: each goal's pre-activation over the columns.
        inputs: where the network's input stands among the original columns.
        compiled, thinned: the network's program as it was compiled, and thinner, before its disjunctions were lowered.
    """

    goals: tuple[Goal, ...]
    program: Program
    loose: IntArray
    strict: IntArray
    z: sparse.csr_array
    z_offset: FloatArray
    z_error: FloatArray
    inputs: slice
    compiled: Compiled
    thinned: Program

    @classmethod
    def of(cls, goals: Sequence[Goal], bounds: Bounds) -> GoalProgram:
        """The program, its constants from proved bounds."""
        network = bounds.network
        point = Input(bounds.domain)
        pre = network.trace(point).pre
        wanted = [pre[stage.index] for stage in dict.fromkeys(goal.stage for goal in goals)]
        compiled = compile_program(wanted, {network: bounds})
        variables = {v.node: where for v, where in compiled.position.items() if isinstance(v, NodeVariable)}
        column = np.array([variables[goal.stage.pre].start + goal.neuron for goal in goals])
        # the pre-activations asked about stay columns: two rows each are about them, and their own are dense
        among = np.ones(compiled.program.size, dtype=np.bool_)
        among[column] = False
        thinned = sparsify(substitute(prune(compiled.program), among), BUDGET)
        program, loose, strict = _with_goals(formulated(thinned).program, column, goals, bounds)
        trace = program.original
        return cls(
            tuple(goals),
            program,
            loose,
            strict,
            sparse.csr_array(sparse.csr_array(trace.matrix)[column]),
            trace.offset[column],
            trace.error[column],
            compiled.position[point.variable],
            compiled,
            thinned,
        )

    def input_of(self, x: FloatArray) -> FloatArray:
        """The network's input at a point of the program: (1, input_size)."""
        return self.program.original(x)[self.inputs][None, :]

    def point_of(self, values: dict[str, FloatArray], inputs: FloatArray, asked: BoolArray) -> FloatArray:
        """The point of the program that belongs to an input, with p = 1 for the asked goals that it reaches.

        Args:
            values: of the forward pass of that input, one row each.
            inputs: (1, input_size), in the domain.
        """
        whole = np.full(self.compiled.program.size, np.nan)
        for variable, where in self.compiled.position.items():
            if isinstance(variable, NodeVariable):
                whole[where] = values[variable.node][0]
        whole[self.inputs] = inputs[0]
        # the columns that are left are some of the original ones: rows of the trace with a single 1
        trace = self.thinned.original
        rows = np.flatnonzero((np.diff(trace.matrix.indptr) == 1) & (trace.offset == 0))
        entry = trace.matrix.indptr[rows]
        same = trace.matrix.data[entry] == 1.0
        point = np.full(self.thinned.size, np.nan)
        point[trace.matrix.indices[entry[same]]] = whole[rows[same]]
        z = self.z[:, : self.thinned.size] @ point + self.z_offset
        sign = np.array([goal.sign for goal in self.goals])
        beyond = sign * (z - np.array([goal.threshold for goal in self.goals])) > 0
        claims = (beyond & asked).astype(np.float64), np.zeros(len(self.goals))
        return np.concatenate([point, chosen_binaries(self.thinned, point), *claims])


def _with_goals(
    plain: Program, column: IntArray, goals: Sequence[Goal], bounds: Bounds
) -> tuple[Program, IntArray, IntArray]:
    """The program with p and q, and the rows that tie them to the pre-activations.

    p = 1  =>  sign (z - break) >= margin  is the row  sign z - (margin - low) p >= low + sign break,  low the smallest
    sign (z - break) of the bounds.

    Args:
        column: (k,) the original column of each goal's pre-activation.
    """
    count, width = len(goals), plain.size
    sign = np.array([goal.sign for goal in goals])
    threshold = np.array([goal.threshold for goal in goals])
    boxes = [bounds.pre(goal.stage) for goal in goals]
    lower = np.array([box.lower[goal.neuron] for box, goal in zip(boxes, goals)])
    upper = np.array([box.upper[goal.neuron] for box, goal in zip(boxes, goals)])
    low = np.where(sign > 0, lower, -upper) - sign * threshold
    reach = np.maximum(np.abs(lower), np.abs(upper))
    largest = float(np.abs([plain.lower, plain.upper]).max(initial=0.0))
    # what the tolerance of the rows may move z by, through all layers of columns
    delta = 10 * TOLERANCE * (1.0 + largest)
    trace = plain.original
    z = sparse.csr_array(trace.matrix)[column]
    offset, error = trace.offset[column], trace.error[column]
    blocks, rows = [], []
    for name, margin, place in (
        ("goals", np.full(count, -delta) - error, 0),
        ("goals.strict", EPSILON * (1.0 + reach), count),
    ):
        on = np.zeros(count)
        blocks.append(Columns(name, on, np.ones(count), np.ones(count, dtype=np.bool_)))
        own = sparse.csr_array(
            (-(margin - low), (np.arange(count), place + np.arange(count))), shape=(count, 2 * count)
        )
        matrix = sparse.csr_array(sparse.hstack([sparse.diags_array(sign) @ z, own], format="csr"))
        # a hair of room for the rounding of these sides
        side = low + sign * (threshold - offset) - error - 1e-9 * (1.0 + reach + np.abs(offset))
        rows.append(
            RowBlock(f"{name}.reached", matrix, side, np.full(count, np.inf), np.full(count, -1, dtype=np.int64))
        )
    wide = plain.with_columns(*blocks)
    program = Program(wide.columns, (*wide.rows, *rows), wide.disjunctions, None, wide.trace, wide.indicators)
    return program, width + np.arange(count), width + count + np.arange(count)
