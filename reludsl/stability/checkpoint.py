"""A run on disk: bounds and witnesses, with which a later run goes on where this one was.

Bounds are believed, since they are about the very network and domain (see `reludsl.saved.fingerprint`); witnesses are
replayed.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

import numpy as np

from reludsl.domain import Domain
from reludsl.network import Network
from reludsl.saved import as_arrays, fingerprint, from_arrays, read_arrays, write_arrays
from reludsl.stability.facts import Ledger

FORMAT = "reludsl-stability-1"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A file for runs about one network on one domain.

    Args:
        of: fingerprint of both.
    """

    path: str
    of: str

    @classmethod
    def at(cls, path: str | os.PathLike[str], network: Network, domain: Domain) -> Checkpoint:
        """The checkpoint of that name, whether it exists or not."""
        return cls(os.fspath(path), fingerprint(network, domain))

    def restore(self, ledger: Ledger) -> None:
        """Give a run what an earlier one knew; nothing where there is no file yet.

        Raises:
            FileProblem: the file is no checkpoint.
            InvalidInput: it is about another network or domain.
        """
        if not os.path.exists(self.path):
            return
        arrays = dict(read_arrays(self.path, FORMAT, self.of, "bounds and witnesses"))
        ledger.witnesses.add(arrays.pop("points"))
        earlier = from_arrays(arrays, ledger.bounds.network, ledger.bounds.domain)
        ledger.bounds = ledger.bounds.tightened(earlier.boxes)

    def save(self, ledger: Ledger) -> None:
        """Write what a run knows by now."""
        points = [np.zeros((0, ledger.bounds.network.input_size))]
        for seen in ledger.witnesses.stages:
            points += [seen.low_at[np.isfinite(seen.low)], seen.high_at[np.isfinite(seen.high)]]
        arrays = {"points": np.unique(np.concatenate(points), axis=0), **as_arrays(ledger.bounds)}
        write_arrays(self.path, FORMAT, self.of, arrays)
