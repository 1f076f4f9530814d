"""What people who extend reludsl test with: the laws for backends and for layers, and the exact oracle behind them.

Importing this needs neither pytest nor a solver. Strategies for hypothesis: `reludsl.testing.strategies`.
"""

from __future__ import annotations

from reludsl.testing.check_layer import check_layer as check_layer
from reludsl.testing.conformance import conformance as conformance
from reludsl.testing.conformance import failures as failures
from reludsl.testing.enumeration import EnumerationBackend as EnumerationBackend
from reludsl.testing.laws import LAWS as LAWS
from reludsl.testing.laws import Law as Law
from reludsl.testing.layer_laws import LAYER_LAWS as LAYER_LAWS
from reludsl.testing.layer_laws import LayerLaw as LayerLaw
from reludsl.testing.oracle import extremes as extremes

__all__ = [
    "LAWS",
    "LAYER_LAWS",
    "EnumerationBackend",
    "Law",
    "LayerLaw",
    "check_layer",
    "conformance",
    "extremes",
    "failures",
]
