"""A convex polygon of a plane through the input space: where the regions of a network of many inputs are looked at."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from reludsl.backend import FloatArray
from reludsl.domain.base import vector
from reludsl.errors import InvalidInput


@dataclass(frozen=True, eq=False)
class Slice:
    """{origin + u axes[0] + v axes[1] : (u, v) in a convex polygon}.

    Args:
        origin: (n,); axes: (2, n), independent.
        corners: (k, 2) of the polygon in the plane's coordinates, in either sense of rotation.

    Raises:
        InvalidInput: axes that do not span a plane, corners that are not those of a convex polygon.

    >>> Slice(np.zeros(3), np.eye(3)[:2], np.array([[0, 0], [1, 0], [0, 1]])).size
    3
    """

    origin: FloatArray
    axes: FloatArray
    corners: FloatArray

    def __post_init__(self) -> None:
        origin, axes = vector(self.origin, "the origin").ravel(), vector(self.axes, "the axes")
        corners = vector(self.corners, "the corners")
        if axes.shape != (2, origin.size) or not np.isfinite(axes).all() or not np.isfinite(origin).all():
            raise InvalidInput(
                f"the axes have shape {axes.shape} and the origin {origin.size} coordinates; a plane needs two finite "
                f"axes of as many coordinates: give an array of shape (2, {origin.size})"
            )
        if np.linalg.matrix_rank(axes) < 2:
            raise InvalidInput(
                "the two axes are parallel, so that they span a line; give independent ones, or use `line`"
            )
        if corners.ndim != 2 or corners.shape[1] != 2 or len(corners) < 3 or not np.isfinite(corners).all():
            raise InvalidInput(
                f"the corners have shape {corners.shape}; give the plane's coordinates of at least three, (k, 2)"
            )
        step = np.roll(corners, -1, axis=0) - corners
        following = np.roll(step, -1, axis=0)
        turn = step[:, 0] * following[:, 1] - step[:, 1] * following[:, 0]
        angle = np.arctan2(turn, (step * following).sum(axis=1)).sum()
        if not ((turn > 0).all() or (turn < 0).all()) or abs(abs(angle) - 2 * np.pi) > 1e-6:
            raise InvalidInput(
                "the corners do not go once around a convex polygon, so that its faces would overlap; give them in "
                "order, without those in the middle of a side"
            )
        object.__setattr__(self, "origin", origin)
        object.__setattr__(self, "axes", axes)
        object.__setattr__(self, "corners", corners if turn[0] > 0 else corners[::-1].copy())

    @property
    def size(self) -> int:
        """Number of inputs."""
        return int(self.origin.size)

    @classmethod
    def rectangle(cls, origin: FloatArray, axes: FloatArray, low: FloatArray, high: FloatArray) -> Slice:
        """low <= (u, v) <= high, numbers or one for each axis."""
        (a, c), (b, d) = (np.broadcast_to(np.asarray(v, dtype=np.float64), 2) for v in (low, high))
        return cls(origin, axes, np.array([[a, c], [b, c], [b, d], [a, d]]))

    @classmethod
    def through(cls, points: FloatArray, reach: float = 1.25) -> Slice:
        """The plane through three points: a square around the centre of their circle, `reach` radii to each side.

        The axes are orthonormal, so that areas and distances are those of the input space (Hanin and Rolnick 2019).

        Args:
            points: (3, n).

        Raises:
            InvalidInput: three points on a line, a reach that is not positive and finite.

        >>> cut = Slice.through(np.array([[1.0, 0.0, 5.0], [-1.0, 0.0, 5.0], [0.0, 1.0, 5.0]]), reach=1.0)
        >>> cut.origin, cut.corners.tolist()
        (array([0., 0., 5.]), [[-1.0, -1.0], [1.0, -1.0], [1.0, 1.0], [-1.0, 1.0]])
        """
        array = vector(points, "the points")
        if array.ndim != 2 or len(array) != 3:
            raise InvalidInput(f"a plane goes through three points, and there are {len(array)}; give an array (3, n)")
        if not 0 < reach < np.inf:
            raise InvalidInput(f"a square that reaches {reach} radii around the points is none; give e.g. 1.25")
        a, b = array[1] - array[0], array[2] - array[0]
        first = a / max(float(np.linalg.norm(a)), 1e-300)
        rest = b - (b @ first) * first
        height = float(np.linalg.norm(rest))
        if height <= 1e-12 * float(np.linalg.norm(b)) or not a.any():
            raise InvalidInput(
                "the three points lie on a line, so that no plane is meant; move one of them, or use `line`"
            )
        second = rest / height
        u = 0.5 * float(np.linalg.norm(a))
        v = float((b @ b - 2 * u * (b @ first)) / (2 * height))
        radius = reach * float(np.hypot(u, v))
        return cls.rectangle(
            array[0] + u * first + v * second, np.stack([first, second]), np.array(-radius), np.array(radius)
        )
