"""Conditions as assertions of VNN-LIB."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from scipy import sparse

from reludsl.expr import Expr, Variable
from reludsl.logic import All, AnyOf, Atoms, Condition

Labels = dict[Variable, list[str]]
"""What the elements of every variable are called."""


def asserts(condition: Condition, labels: Labels) -> Iterator[str]:
    """Assertions whose conjunction is the condition."""
    if isinstance(condition, All):
        for part in condition.parts:
            yield from (f"(assert {text})" for text in _conjuncts(part, labels))
    else:
        yield from (f"(assert {text})" for text in _conjuncts(condition, labels))


def _conjuncts(condition: Condition, labels: Labels) -> Iterator[str]:
    if isinstance(condition, Atoms) and condition.every:
        yield from rows_text(condition.expr, condition.strict, labels)
    else:
        yield "".join(_text(condition, labels))


def _text(condition: Condition, labels: Labels) -> Iterator[str]:
    """Pieces of the text of one formula, without recursion: conditions still to come, and closings between them."""
    pending: list[Condition | str] = [condition]
    while pending:
        match pending.pop():
            case str() as text:
                yield text
            case Atoms() as atoms:
                yield _joined("and" if atoms.every else "or", list(rows_text(atoms.expr, atoms.strict, labels)))
            case All(parts) | AnyOf(parts) as joined if parts:
                yield "(and" if isinstance(joined, All) else "(or"
                pending.append(")")
                for part in reversed(parts):
                    pending += (part, " ")
            case empty:
                yield "true" if isinstance(empty, All) else "false"


def _joined(word: str, texts: list[str]) -> str:
    if len(texts) == 1:
        return texts[0]
    return f"({word} {' '.join(texts)})" if texts else ("true" if word == "and" else "false")


def rows_text(expr: Expr, strict: bool, labels: Mapping[Variable, list[str]]) -> Iterator[str]:
    """Every element of an expression as a comparison with zero."""
    terms: list[list[tuple[float, str]]] = [[] for _ in range(expr.size)]
    for variable, matrix in expr.terms.items():
        names = labels[variable]
        entries = sparse.csr_array(matrix, copy=True)
        entries.sum_duplicates()
        starts = entries.indptr.tolist()
        columns, values = entries.indices.tolist(), entries.data.tolist()
        for row, held in enumerate(terms):
            held += ((values[k], names[columns[k]]) for k in range(starts[row], starts[row + 1]) if values[k])
    mark = "" if strict else "="
    for held, constant in zip(terms, expr.constant.tolist()):
        yield _comparison(held, constant, mark)


def _comparison(terms: list[tuple[float, str]], constant: float, mark: str) -> str:
    """sum + constant <= 0; short where it compares a variable with a number, or two variables."""
    limit = repr(-constant + 0.0)
    match terms:
        case []:
            return f"(<{mark} {constant!r} 0.0)"
        case [(1.0, name)]:
            return f"(<{mark} {name} {limit})"
        case [(-1.0, name)]:
            return f"(>{mark} {name} {constant!r})"
        case [(1.0, less), (-1.0, more)] | [(-1.0, more), (1.0, less)] if constant == 0:
            return f"(<{mark} {less} {more})"
    products = [name if value == 1 else f"(* {value!r} {name})" for value, name in terms]
    total = products[0] if len(products) == 1 else f"(+ {' '.join(products)})"
    return f"(<{mark} {total} {limit})"
