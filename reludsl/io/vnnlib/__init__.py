"""VNN-LIB: questions about networks as text, versions 1.0 and 2.0.

    found = read_vnnlib("prop_1.vnnlib", net)
    found.question                  Find(condition): sat means that an input is found
    found.inputs["X"], found.outputs["Y"]

Decimals are read as the nearest float64, and the property is about these numbers; what is computed with them while
reading is exact, and every coefficient is rounded to float64 once, at the end. Bounds of single inputs become the
box that the input lives in, and are not repeated in the condition; bounds inside a disjunction stay where they are,
and the box is the hull over the disjuncts. The element types of version 2.0 say how a runtime rounds: here all
arithmetic is exact, so that `float16`, `float32` and `float64` read like `Real`.

A hidden tensor of version 2.0 is the output of a node in the ONNX file. An importer may merge nodes, so that a layer
called like a node is not always its output: give `names={net: report.tensors}`, which lists the outputs that are
the value of a layer. Without it hidden tensors are the layers' values by the layers' names.
"""

from __future__ import annotations

from reludsl.io.vnnlib.property import Property as Property
from reludsl.io.vnnlib.property import Tensor as Tensor
from reludsl.io.vnnlib.reader import parse_vnnlib as parse_vnnlib
from reludsl.io.vnnlib.reader import read_vnnlib as read_vnnlib
from reludsl.io.vnnlib.result import assignment_text as assignment_text
from reludsl.io.vnnlib.result import result_text as result_text
from reludsl.io.vnnlib.writer import vnnlib_text as vnnlib_text
from reludsl.io.vnnlib.writer import write_vnnlib as write_vnnlib
