"""Declarations of version 2.0: what a tensor is, and which network or node a declared name stands for."""

from __future__ import annotations

import enum
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from reludsl.errors import InvalidInput
from reludsl.io.vnnlib.tokens import shown
from reludsl.network import Network

KINDS = ("Real", "real", "float16", "bfloat16", "float32", "float64")
"""Element types that are read, all of them as real numbers."""

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_SHAPED = re.compile(r"([^\[\]]*)\[([0-9]{1,9}(?:,[0-9]{1,9})*)?\]")


class Role(enum.Enum):
    """What a tensor is in its network."""

    INPUT = "input"
    HIDDEN = "hidden"
    OUTPUT = "output"


@dataclass(frozen=True, slots=True)
class Declared:
    """One line of a network's declaration.

    Args:
        onnx: of a hidden tensor, its name in the network's file.
    """

    role: Role
    name: str
    kind: str
    shape: tuple[int, ...]
    onnx: str = ""

    @property
    def size(self) -> int:
        return math.prod(self.shape)


@dataclass(frozen=True, slots=True)
class Relation:
    """`(equal-to f)`: the same network as f; `(isomorphic-to f)`: the same layers with other weights."""

    word: str
    other: str


def declaration(items: list[Any]) -> Declared | Relation:
    """What a parenthesis inside declare-network says.

    Raises:
        InvalidInput: anything else.
    """
    match items:
        case [("equal-to" | "isomorphic-to") as word, str(other)]:
            return Relation(word, other)
        case [("declare-input" | "declare-output") as word, str(name), str(kind)]:
            return _declared(Role(word[len("declare-") :]), name, kind)
        case ["declare-hidden", str(name), str(kind), str(onnx)] if onnx[0] == '"':
            return _declared(Role.HIDDEN, name, kind, _unquoted(onnx))
        case ["declare-input", *_, "initialized"]:
            raise InvalidInput("an initialized input has a default value, which networks here do not; remove the word")
        case ["declare-hidden", *_]:
            raise InvalidInput('a hidden tensor is declared as (declare-hidden Z Real [1,128] "name in the file")')
        case [str(head), *_]:
            raise InvalidInput(
                f"{shown(head)} is read as no declaration here; write (declare-input X Real [1,5]), declare-output, "
                "declare-hidden, equal-to or isomorphic-to"
            )
    raise InvalidInput("this parenthesis declares nothing; write (declare-input X Real [1,5])")


def _declared(role: Role, name: str, kind: str, onnx: str = "") -> Declared:
    if not _NAME.fullmatch(name):
        raise InvalidInput(f"{shown(name)} is no name; write letters, digits and _, a letter first")
    found = _SHAPED.fullmatch(kind)
    if found is None:
        raise InvalidInput(f"{name} is declared as {shown(kind)}; write an element type and a shape, e.g. Real [1,5]")
    if found[1] not in KINDS:
        raise InvalidInput(
            f"{name} has elements of type {shown(found[1])}, and values here are real numbers; use one of "
            f"{', '.join(KINDS)}"
        )
    shape = tuple(int(k) for k in found[2].split(",")) if found[2] else ()
    return Declared(role, name, found[1], shape, onnx)


def _unquoted(text: str) -> str:
    return re.sub(r"\\(.)", lambda found: {"n": "\n", "t": "\t"}.get(found[1], found[1]), text[1:-1], flags=re.DOTALL)


class Networks:
    """The networks given, by the names that a file declares."""

    def __init__(self, given: Network | Mapping[str, Network]) -> None:
        self.given = given
        self.used: set[str] = set()

    def called(self, name: str) -> Network:
        """The network of a declaration without relation.

        Raises:
            InvalidInput: none of that name, or one network alone for several declarations.
        """
        if isinstance(self.given, Network):
            if self.used:
                raise InvalidInput(
                    f"the network {name} is declared beside {', '.join(self.used)}, and one network alone is given; "
                    f"give a mapping from names to networks, or declare {name} equal-to the other one"
                )
            self.used.add(name)
            return self.given
        if name not in self.given:
            raise InvalidInput(
                f"the network {name} is declared, and given are {', '.join(self.given) or 'none'}; give that one too"
            )
        self.used.add(name)
        return self.given[name]

    def related(self, name: str, relation: Relation, other: Network) -> Network:
        """The network of a declaration with a relation.

        Raises:
            InvalidInput: the network given does not stand in that relation.
        """
        if relation.word == "equal-to":
            own = self.given.get(name, other) if isinstance(self.given, Mapping) else other
            self.used.add(name)
            if own is not other:
                raise InvalidInput(
                    f"the network {name} is equal-to {relation.other}, and two networks are given for them; "
                    f"leave {name} out"
                )
            return other
        own = self.called(name)
        if _structure(own) != _structure(other):
            raise InvalidInput(
                f"the network {name} is isomorphic-to {relation.other}, and the networks given have other layers or "
                "shapes; give the networks that the property was written for"
            )
        return own

    def check_all_used(self) -> None:
        """Raise unless every network given was declared.

        Raises:
            InvalidInput: with the names that were not.
        """
        left = [] if isinstance(self.given, Network) else [name for name in self.given if name not in self.used]
        if left:
            raise InvalidInput(
                f"a network is given for {', '.join(left)}, which the property does not declare; leave it out, or "
                "rename it"
            )


def _structure(network: Network) -> list[tuple[str, str, tuple[int, ...]]]:
    place = {node.name: str(k) for k, node in enumerate(network.nodes)}
    return [(node.layer.kind, place.get(node.source, ""), network.shapes[node.name]) for node in network.nodes]


def node_of(network: Network, tensor: Declared, owner: str, names: Mapping[str, str] | None) -> str:
    """The node whose value a hidden or output tensor is; empty for an input.

    Args:
        owner: the declared name of the network, for messages.
        names: names of tensors and nodes in the network's file, and the nodes that compute them; by default
            the names of the network's own nodes.

    Raises:
        InvalidInput: no such node, or another number of elements; with both.
    """
    if tensor.role is Role.HIDDEN:
        known = {name: name for name in network.by_name} if names is None else names
        if tensor.onnx not in known:
            raise InvalidInput(
                f"{tensor.name} is the hidden tensor {shown(tensor.onnx)} of {owner}, which computes no value of that "
                f"name; there are {', '.join(known)}"
            )
        node = known[tensor.onnx]
    else:
        node = network.output if tensor.role is Role.OUTPUT else ""
    size = network.size(node) if node else network.input_size
    if tensor.size != size:
        raise InvalidInput(
            f"{tensor.name} is declared with {tensor.size} elements {list(tensor.shape)}, and the "
            f"{tensor.role.value} of {owner} has {size}; give the network that the property was written for"
        )
    return node
