"""A question as one program, for solvers outside of this library: MPS and LP files.

Of an extreme the program is that extreme. Of `Find` and `Prove` it maximises the slack of what is looked for (for
`Prove`: of what would refute the claim): where the maximum is negative no input satisfies it.
"""

from __future__ import annotations

from pathlib import Path

from reludsl.backend import Sense
from reludsl.errors import FileProblem, InvalidInput
from reludsl.expr import Expr, SlackVariable
from reludsl.formulate import compile_program
from reludsl.io import write_lp, write_mps
from reludsl.logic import ALWAYS, Condition, all_of
from reludsl.passes import Choice, Form, Formulation, lower
from reludsl.program import Objective, Program
from reludsl.question import Find, Maximize, Minimize, Prove, Question
from reludsl.session import as_formulation

SUFFIXES = {".mps": write_mps, ".mps.gz": write_mps, ".lp": write_lp, ".lp.gz": write_lp}
"""What `export` writes, by the end of the file's name."""


def program_of(question: Question, formulation: Formulation | Choice | str = Formulation.BIG_M) -> Program:
    """The program of a question, lowered to rows and integer columns (see the module).

    Raises:
        InvalidInput: a formulation that is no fixed program.

    >>> from reludsl.expr import box
    >>> x = box(0, 1, (2,))
    >>> print(str(program_of(Maximize(2 * x[0], given=x[0] <= x[1]))).splitlines()[0])
    maximize 2 x[0]
    """
    form = as_formulation(formulation)
    choice = Choice.every(form)
    if Form.CUTS in {f.form for f in (choice.default, *choice.layers.values())}:
        raise InvalidInput(
            f"the formulation {form} adds rows while it is solved, so that there is no one program to write; "
            "export another, e.g. big-m"
        )
    expr, given, sense = _objective(question)
    compiled = compile_program([expr], given=given)
    index, value, offset = compiled.row(expr)
    return lower(compiled.program.with_objective(Objective(index, value, sense, offset)), form)


def export(question: Question, path: Path | str, formulation: Formulation | Choice | str = Formulation.BIG_M) -> None:
    """Write the program of a question as `.mps` or `.lp`, whole or not at all (`.gz` for a compressed file).

    Raises:
        FileProblem: another kind of file.
        InvalidInput: a formulation that is no fixed program.
    """
    name = Path(path).name.lower()
    suffix = next((end for end in SUFFIXES if name.endswith(end)), None)
    if suffix is None:
        raise FileProblem(f"{path} is neither an MPS nor an LP file; let it end in {' or '.join(SUFFIXES)}")
    SUFFIXES[suffix](program_of(question, formulation), Path(path))


def _objective(question: Question) -> tuple[Expr, Condition, Sense]:
    match question:
        case Maximize(expr, given):
            return expr, given, Sense.MAXIMIZE
        case Minimize(expr, given):
            return expr, given, Sense.MINIMIZE
        case Find(condition):
            return Expr.of(SlackVariable(condition)), ALWAYS, Sense.MAXIMIZE
        case Prove(claim, given):
            return Expr.of(SlackVariable(all_of(given, ~claim))), ALWAYS, Sense.MAXIMIZE
