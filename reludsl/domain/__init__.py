"""Where the input lives: `Box`, `Ball` and `Polytope`, each bounded, convex, and able to bound a linear function.

A domain answers four questions, on flat vectors and in batches:

* `support(A)`: an upper bound, true in exact arithmetic, of max {A x : x in the domain}, row by row;
* `maximiser(A)`: a point of the domain where A x is large, row by row (no proof, used to find witnesses);
* `project(X)`, `sample(rng, n)`, `contains(X)`: points that really are inside;
* `constraints()`: the same set as rows over x and a few extra columns, for a program.

The box `enclosure` contains the domain. Proofs use supersets, witnesses use `contains`: with float centres
and radii the two differ in the last bit, and each errs on its safe side.

`Space` is R^n, for the few questions that need no bounded domain.
"""

from __future__ import annotations

from reludsl.domain.ball import Ball as Ball
from reludsl.domain.ball import Norm as Norm
from reludsl.domain.base import Domain as Domain
from reludsl.domain.base import DomainRows as DomainRows
from reludsl.domain.box import Box as Box
from reludsl.domain.polytope import Polytope as Polytope
from reludsl.domain.space import Space as Space
