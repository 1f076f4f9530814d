"""How long pieces of ellipses are, in any number of dimensions: in closed form, with a bound on the error.

A cos s + B sin s is an ellipse. With the angle phi of its axes, U = A cos phi + B sin phi and V = B cos phi - A sin phi
are orthogonal, |U| >= |V|, and its length between two angles is an elliptic integral of the second kind,

    |U| (E(s - phi + pi/2 | m) - E(s' - phi + pi/2 | m)),    m = 1 - |V|^2 / |U|^2.

There is no quadrature, and so no error but that of rounding.
"""

from __future__ import annotations

import math

import numpy as np
from scipy.special import ellipeinc

from reludsl import numeric
from reludsl.backend import FloatArray

INTEGRAL = 1e-13
"""What E(x | m) - E(y | m) may be off by, -10 <= x, y <= 10: twice 3.3e-15 of a value below 10 for the integral (peak
relative error of `ellie`, Cephes Math Library 2.8), 20 units in the last place a quarter turn for the rounding of m, at
the slowest points of a flat ellipse, and 8 for that of the angles."""


def ellipse_lengths(
    cosine: FloatArray, sine: FloatArray, left: FloatArray, right: FloatArray, drift: float = 0.0
) -> tuple[FloatArray, FloatArray]:
    """Length of A cos s + B sin s from one angle to another, and what it may be off by: (m,) each.

    Args:
        cosine, sine: A and B, (m, n).
        left, right: (m,), no farther apart than 2 pi.
        drift: what A and B may be off by, each, in the Euclidean norm; it changes the speed by sqrt(2) as much at most.

    >>> from scipy.special import ellipe
    >>> length, error = ellipse_lengths(np.array([[2.0, 0.0]]), np.array([[0.0, 1.0]]), np.zeros(1), np.full(1, np.pi))
    >>> float(abs(length - 4 * ellipe(0.75))[0]) <= float(error[0]) < 1e-12
    True
    """
    n = cosine.shape[1]
    mixed = np.einsum("mn,mn->m", cosine, sine)
    squares = [np.einsum("mn,mn->m", v, v) for v in (cosine, sine)]
    phi = 0.5 * np.arctan2(2 * mixed, squares[0] - squares[1])
    cos, sin = np.cos(phi)[:, None], np.sin(phi)[:, None]
    u = cos * cosine + sin * sine
    v = cos * sine - sin * cosine
    skew = np.abs(np.einsum("mn,mn->m", u, v))
    major, minor = np.linalg.norm(u, axis=1), np.linalg.norm(v, axis=1)
    whole = np.maximum(major, np.finfo(np.float64).tiny)
    ratio = np.minimum(1.0, minor / whole)
    m = (1 - ratio) * (1 + ratio)
    # the integral is odd and grows by the same in every half turn: angles near 0 round least
    turns = np.round((0.5 * (left + right) - phi) / math.pi + 0.5) * math.pi
    ends = [angle - phi + 0.5 * math.pi - turns for angle in (left, right)]
    length = major * (ellipeinc(ends[1], m) - ellipeinc(ends[0], m))
    # U and V are rounded, and V is orthogonal to U but for this part of it
    rounded = numeric.gamma(n + 8) * np.sqrt(2.0 * (squares[0] + squares[1]))
    off = rounded + skew / whole + numeric.gamma(n + 2) * minor + math.sqrt(2.0) * drift
    # squares below 2^-1022 are lost
    # an angle far from 0 is rounded by a part of its size, and so are the turns that are taken from it
    integral = INTEGRAL + 16 * numeric.UNIT * np.maximum(np.abs(left), np.abs(right))
    error = (right - left) * (off + n * 2.0**-500) + integral * major
    return length, numeric.inflated(error)
