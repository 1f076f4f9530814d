"""A file or a text to a property; the version is told by the first command."""

from __future__ import annotations

import os
from collections.abc import Mapping

from reludsl.errors import FileProblem, InvalidInput
from reludsl.io.files import read_bytes
from reludsl.io.vnnlib import version1, version2
from reludsl.io.vnnlib.declared import Networks
from reludsl.io.vnnlib.property import Property
from reludsl.io.vnnlib.tokens import Tokens, shown
from reludsl.io.vnnlib.version2 import FileNames
from reludsl.network import Network


def read_vnnlib(
    path: str | os.PathLike[str],
    network: Network | Mapping[str, Network],
    names: FileNames | None = None,
) -> Property:
    """The property of a `.vnnlib` file, or of a packed `.vnnlib.gz`, about a network.

    Args:
        network: what the property is about. Version 2.0 declares networks by name: give a mapping from these
            names; one network alone stands for the only one declared, and for those that are equal to it.
        names: of a network, the names of tensors in its file, `{net: report.tensors}` for the report of
            `reludsl.io.read_with_report`; hidden tensors are found by them. By default hidden tensors are named
            like the nodes of the network.

    Raises:
        FileProblem: missing, a folder, empty, no text.
        InvalidInput: see `parse_vnnlib`; the message starts with the path.
    """
    data = read_bytes(path, "VNN-LIB")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise FileProblem(
            f"{path}: byte {error.start} is no UTF-8 text, so this is no VNN-LIB file; give the property"
        ) from None
    try:
        return parse_vnnlib(text, network, names)
    except InvalidInput as error:
        raise InvalidInput(f"{path}: {error}") from None


def parse_vnnlib(text: str, network: Network | Mapping[str, Network], names: FileNames | None = None) -> Property:
    """The property of a text, see `read_vnnlib`.

    Raises:
        InvalidInput: with line and column: what does not belong to the language, what is not linear, a variable
            that is not declared; inputs without a finite bound on both sides; numbers of inputs or outputs that
            are not the network's.

    >>> from reludsl.layers import relu
    >>> net = Network.chain([relu], (1,))
    >>> found = parse_vnnlib("(declare-const X_0 Real)(declare-const Y_0 Real)"
    ...     "(assert (and (>= X_0 -1) (<= X_0 2)))(assert (>= Y_0 1.5))", net)
    >>> found.inputs["X"].domain.enclosure.upper, found.question.condition
    (array([2.]), (Expr(size=1, over=[0_relu]) <= 0))
    """
    tokens = Tokens(text)
    if _version(tokens) == "1":
        reader: version1.Reader | version2.Reader = version1.Reader(tokens, _only(network))
    else:
        reader = version2.Reader(tokens, Networks(network), names or {})
    reader.run()
    return reader.property()


def _version(tokens: Tokens) -> str:
    """The first digits of the version that a text states; 1 where it states none."""
    match tokens.texts[:4]:
        case ["(", "vnnlib-version", stated, ")"]:
            whole = stated[1:-1].split(".")
            if stated[0] != "<" or stated[-1] != ">" or len(whole) != 2 or whole[0] not in ("1", "2"):
                tokens.refuse(2, f"{shown(stated)} is no version that is read; write <1.0> or <2.0>")
            return whole[0]
        case []:
            raise InvalidInput("the text holds no command, so nothing is asked; give declarations and assertions")
        case _:
            return "1"


def _only(network: Network | Mapping[str, Network]) -> Network:
    if isinstance(network, Network):
        return network
    if len(network) != 1:
        raise InvalidInput(
            f"{len(network)} networks are given ({', '.join(network)}), and a property of version 1.0 is about one; "
            "give that one"
        )
    return next(iter(network.values()))
