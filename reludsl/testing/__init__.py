"""What people who extend reludsl test with: the laws for backends, and the exact oracle behind them.

Importing this needs neither pytest nor a solver. Strategies for hypothesis: `reludsl.testing.strategies`.
"""

from __future__ import annotations

from reludsl.testing.conformance import conformance as conformance
from reludsl.testing.conformance import failures as failures
from reludsl.testing.enumeration import EnumerationBackend as EnumerationBackend
from reludsl.testing.laws import LAWS as LAWS
from reludsl.testing.laws import Law as Law
from reludsl.testing.oracle import extremes as extremes

__all__ = ["LAWS", "EnumerationBackend", "Law", "conformance", "extremes", "failures"]
