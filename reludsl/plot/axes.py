"""Where a picture is drawn: the caller's axes, or new ones of matplotlib."""

from __future__ import annotations

from typing import Any

from reludsl.errors import MissingBackend


def new_axes() -> Any:
    """Axes of a figure of their own, which no window and no global state knows; `axes.figure.savefig(path)` writes it.

    Raises:
        MissingBackend: matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingBackend(
            f"matplotlib is not installed ({error}), so nothing can be drawn; pip install 'reludsl[plot]', or take the "
            "numbers from the result itself"
        ) from None
    # constrained layout cuts off the tick labels of axes of a fixed aspect
    return Figure(figsize=(6.4, 4.0), layout="compressed").add_subplot()
