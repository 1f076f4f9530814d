"""Matrix products by one thread, where many small ones follow each other.

OpenBLAS gives every product to all cores. Threads that wait for each other cost more than they bring in products of a
few hundred rows, and where other work is on the cores, ten times more.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import TypeVar

from threadpoolctl import ThreadpoolController

Item = TypeVar("Item")


@cache
def _controller() -> ThreadpoolController:
    """Looked for once: it calls back from C, where a keyboard interrupt is lost."""
    return ThreadpoolController()


@contextmanager
def one_thread() -> Iterator[None]:
    """Inside, products are by one thread; afterwards as before.

    >>> with one_thread():
    ...     pass
    """
    with _controller().limit(limits=1, user_api="blas"):
        yield


def by_one_thread(items: Iterable[Item]) -> Iterator[Item]:
    """The same items, each made while products are by one thread; what is done with them is not concerned.

    >>> list(by_one_thread(range(3)))
    [0, 1, 2]
    """
    iterator = iter(items)
    while True:
        with one_thread():
            try:
                item = next(iterator)
            except StopIteration:
                return
        yield item
