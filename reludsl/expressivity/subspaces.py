"""Classification by the nearest subspace: what linear algebra alone makes of the data, to compare networks with.

Watanabe et al. 1967, Evaluation and selection of variables in pattern recognition (CLAFIC); Savas and Eldén 2007,
Handwritten digit classification using higher order singular value decomposition, section 3.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from reludsl.backend import FloatArray, IntArray
from reludsl.errors import InvalidInput


@dataclass(frozen=True, eq=False)
class Subspaces:
    """A subspace per class; x belongs to the class c with the least residual ||x - U_c U_c^T x||.

    Args:
        classes: (classes,) the labels, increasing.
        bases: by class U_c, (inputs, rank) with orthonormal columns, those with the largest singular values first.
    """

    classes: IntArray
    bases: tuple[FloatArray, ...]

    @property
    def ranks(self) -> IntArray:
        """(classes,) how many columns there are at most."""
        return np.array([basis.shape[1] for basis in self.bases])

    def residuals(self, x: FloatArray, columns: Sequence[int] | IntArray) -> FloatArray:
        """||x - U U^T x|| with U the first columns of U_c, for every number of columns at once.

        What lies outside of the whole subspace is computed as a difference, and the squares of the components that
        are left out are added to it; so a residual never increases with the number of columns.

        Args:
            x: (m, inputs).
            columns: (k,) of 0 and more; beyond the rank of a class all of its columns are taken.

        Returns:
            (k, m, classes).

        Raises:
            InvalidInput: points of another size or not finite, numbers of columns that are negative or not whole.
        """
        points, wanted = np.asarray(x, dtype=np.float64), np.asarray(columns)
        size = self.bases[0].shape[0]
        if points.ndim != 2 or points.shape[1] != size:
            raise InvalidInput(
                f"points of shape {points.shape} have no distance from subspaces of {size} inputs; give (m, {size})"
            )
        if not np.isfinite(points).all():
            raise InvalidInput("a point holds NaN or infinity and is near no subspace; give finite numbers")
        if wanted.ndim != 1 or not np.issubdtype(wanted.dtype, np.integer) or (wanted < 0).any():
            raise InvalidInput(
                f"{columns} are no numbers of columns, and no subspaces are spanned by them; give a sequence of "
                "numbers of 0 and more, e.g. [5, 10]"
            )
        found = np.empty((wanted.size, len(points), len(self.bases)))
        for c, basis in enumerate(self.bases):
            part = points @ basis
            outside = np.square(points - part @ basis.T).sum(axis=1)
            squares = np.column_stack([np.square(part), outside])
            # from the last to the first: entry k is what is left with k columns
            left = np.cumsum(squares[:, ::-1], axis=1)[:, ::-1]
            found[:, :, c] = np.sqrt(left[:, np.minimum(wanted, basis.shape[1])].T)
        return found

    def classify(self, x: FloatArray, columns: Sequence[int] | IntArray) -> IntArray:
        """The class of the least residual for every number of columns, the first of several: (k, m)."""
        return np.asarray(self.classes[self.residuals(x, columns).argmin(axis=2)])


def class_subspaces(x: FloatArray, labels: IntArray) -> Subspaces:
    """U_c from the singular value decomposition of the points of class c, as columns, without subtracting their mean.

    Directions whose singular value is below max(m_c, inputs) * 2^-52 times the largest are rounding errors and left
    out: the number of columns is the numerical rank.

    Args:
        x: (m, inputs).
        labels: (m,) whole numbers.

    Raises:
        InvalidInput: shapes that do not fit, no points, numbers that are not finite, a class of zeros alone.

    >>> x = np.array([[2.0, 0.0, 0.0], [3.0, 0.0, 0.0], [0.0, 1.0, 1.0]])
    >>> found = class_subspaces(x, np.array([4, 4, 7]))
    >>> found.ranks, found.residuals(np.array([[1.0, 0.0, 0.0]]), [0, 1]).round(6).tolist()
    (array([1, 1]), [[[1.0, 1.0]], [[0.0, 1.0]]])
    >>> found.classify(np.array([[1.0, 0.2, 0.0], [0.0, 5.0, 4.0]]), [1])
    array([[4, 7]])
    """
    points, names = np.asarray(x, dtype=np.float64), np.asarray(labels)
    if points.ndim != 2 or names.shape != points.shape[:1] or not points.size:
        raise InvalidInput(
            f"points of shape {points.shape} and labels of shape {names.shape} do not fit; give (m, inputs) and (m,)"
        )
    if not np.issubdtype(names.dtype, np.integer):
        raise InvalidInput(f"labels of type {names.dtype} are no classes; give whole numbers")
    if not np.isfinite(points).all():
        raise InvalidInput("a point holds NaN or infinity and lies in no subspace; give finite numbers")
    classes = np.unique(names)
    return Subspaces(classes, tuple(_basis(points[names == c], c) for c in classes.tolist()))


def _basis(points: FloatArray, name: int) -> FloatArray:
    _, values, rows = np.linalg.svd(points, full_matrices=False)
    kept = values > max(points.shape) * np.finfo(np.float64).eps * values[0]
    if not kept.any():
        raise InvalidInput(
            f"all points of class {name} are 0 and span no subspace; leave the class out, or shift the data"
        )
    return np.ascontiguousarray(rows[kept].T)
