"""torch, where it is needed and where it is not."""

from __future__ import annotations

from typing import Any

from reludsl.errors import MissingBackend


def torch() -> Any:
    """The module.

    Raises:
        MissingBackend: it is not installed.
    """
    try:
        import torch as found
    except ImportError as error:
        raise MissingBackend(
            f"torch is not installed ({error}), and what is to be trained is made of its tensors; pip install torch, "
            "or take a measurement that needs no training"
        ) from None
    return found
