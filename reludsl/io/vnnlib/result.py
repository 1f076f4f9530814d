"""What a verifier answers, as text: the form that VNN-COMP reads, and the one of the VNN-LIB 2.0 standard.

result_text("sat", x, net(x))          sat
                                       ((X_0 0.25)
                                        (Y_0 1.5))
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from reludsl.backend import FloatArray
from reludsl.errors import InvalidInput
from reludsl.expr import InputVariable
from reludsl.io.vnnlib.property import Property

WORDS = ("sat", "unsat", "unknown", "timeout", "error")
"""First lines of a result."""


def result_text(word: str, inputs: npt.ArrayLike | None = None, outputs: npt.ArrayLike | None = None) -> str:
    """The result of a property about one network in the form of VNN-COMP: the word, and the witness where it is sat.

    Args:
        word: sat, unsat, unknown, timeout or error.
        inputs, outputs: the witness, for sat; numbers are written so that reading gives the same float64.

    Raises:
        InvalidInput: another word, sat without a witness or a witness without sat.

    >>> print(result_text("sat", [0.25, -1.0], [1e-07]), end="")
    sat
    ((X_0 0.25)
     (X_1 -1.0)
     (Y_0 1e-07))
    """
    if not _checked(word, inputs is not None and outputs is not None):
        return f"{word}\n"
    lines = [
        f"({letter}_{k} {value!r})"
        for letter, array in (("X", inputs), ("Y", outputs))
        for k, value in enumerate(_flat(array).tolist())
    ]
    return f"{word}\n(" + "\n ".join(lines) + ")\n"


def assignment_text(word: str, found: Property, point: Mapping[InputVariable, FloatArray] | None = None) -> str:
    """The result in the form of the VNN-LIB 2.0 standard: every declared tensor with its type, shape and elements.

    Args:
        word: as in `result_text`; the standard writes timeout as timed-out.
        point: the witness, for sat: a value of every input variable.

    Raises:
        InvalidInput: another word, sat without a witness or a witness without sat.

    >>> from reludsl.io.vnnlib import parse_vnnlib
    >>> from reludsl.layers import relu
    >>> from reludsl.network import Network
    >>> found = parse_vnnlib("(declare-const X_0 Real)(declare-const Y_0 Real)(assert (<= -1 X_0 1))",
    ...     Network.chain([relu], (1,)))
    >>> print(assignment_text("sat", found, {found.inputs["X"].variable: np.array([0.5])}), end="")
    sat
    X Real [1]
    0.5
    Y Real [1]
    0.5
    """
    shown = "timed-out" if word == "timeout" else word
    if not _checked(word, point is not None) or point is None:
        return f"{shown}\n"
    lines = [shown]
    for tensor in found.tensors:
        lines.append(f"{tensor.name} {tensor.kind} [{','.join(map(str, tensor.shape))}]")
        lines += map(repr, tensor.value.value(point).tolist())
    return "\n".join(lines) + "\n"


def _checked(word: str, witness: bool) -> bool:
    """Whether the word is sat, which must be so exactly where there is a witness."""
    if word not in WORDS:
        raise InvalidInput(f"the result {word!r} means nothing to a reader of results; write one of {', '.join(WORDS)}")
    if (word == "sat") != witness:
        raise InvalidInput(
            f"the result is {word} and {'a' if witness else 'no'} witness (an input and its output) is given; "
            "sat is claimed with a witness, and nothing else is"
        )
    return witness


def _flat(array: npt.ArrayLike | None) -> FloatArray:
    return np.asarray(array, dtype=np.float64).ravel()
