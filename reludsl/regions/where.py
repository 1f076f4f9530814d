"""Where regions are counted: a domain, an input variable that has one, or all of R^n."""

from __future__ import annotations

from reludsl.domain import Domain, Space
from reludsl.expr import Input, as_domain


def where_of(where: Input | Domain | Space) -> Domain | Space:
    """The domain that an argument stands for.

    Raises:
        InvalidInput: it stands for none.

    >>> from reludsl.expr import box
    >>> where_of(box(0, 1, (2,))).size, where_of(Space(3)).size
    (2, 3)
    """
    return where if isinstance(where, Space) else as_domain(where)
