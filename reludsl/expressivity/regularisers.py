"""Terms of a loss that act on what a network expresses, for training with torch.

regulariser = TrajectoryRegulariser(model, weight=0.01)
for x, y in batches:
    loss = cross_entropy(model(x), y) + regulariser()
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from reludsl.errors import InvalidInput
from reludsl.expressivity.torch_module import torch

ACTIVATIONS = ("ReLU", "LeakyReLU", "PReLU", "ReLU6", "Hardtanh", "Hardsigmoid")
"""Modules of torch.nn behind which lengths are taken by default."""


def batch_length(values: Any) -> Any:
    """sum_j ||z_(j+1) - z_j||, the length of the chain of straight lines through the points of a batch.

    Raghu et al. 2017, section 3. Where two neighbours coincide the norm has no gradient, and 0 is taken.

    Args:
        values: (m, ...) a tensor of torch; every point is flattened.

    Returns:
        A tensor without dimensions; 0 for a batch of one, which is a point.

    Raises:
        MissingBackend: torch is not installed.

    >>> import pytest
    >>> tensor = pytest.importorskip("torch").tensor
    >>> float(batch_length(tensor([[0.0, 0.0], [3.0, 4.0], [3.0, 5.0]])))
    6.0
    """
    return torch().linalg.vector_norm(values.unsqueeze(-1).flatten(1).diff(dim=0), dim=1).sum()


class TrajectoryRegulariser:
    """weight * sum over layers of l / l_0, where l is the length of the mini-batch behind a layer and l_0 that of the
    first one (Raghu et al. 2017, section 3).

    Both lengths are divided by their number of steps, m - 1, so that a last batch of another size is measured alike;
    with batches of one size this is the published ratio. l_0 is taken in the first call, from the batch that the model
    has seen last, and is a constant from then on. A later batch of one adds nothing.

    The lengths are those of the forward pass that the loss is computed from: nothing is computed twice, and passes
    without a gradient (evaluation under `torch.no_grad()`) are not looked at. The model stays what it is; `close`
    removes the hooks, and leaving a `with` block does as well.

    Args:
        model: a module of torch.
        weight: lambda; 0 leaves the loss as it is.
        layers: names of modules, as `model.named_modules()` gives them; by default every activation (`ACTIVATIONS`),
            so that lengths are those of the hidden layers. A module that is called several times in one pass counts
            each time.
        originals: l_0 per step of an earlier run, which goes on: its attribute `originals`.

    Raises:
        InvalidInput: a weight that is negative or no number, no layer, a name that there is not.
        MissingBackend: torch is not installed.

    With every weight halved, the length behind the ReLU is half of the original:

    >>> import pytest
    >>> torch = pytest.importorskip("torch")
    >>> model = torch.nn.Sequential(torch.nn.Linear(2, 4, bias=False), torch.nn.ReLU())
    >>> with TrajectoryRegulariser(model, weight=1.0) as regulariser:
    ...     batch = torch.tensor([[1.0, 2.0], [-3.0, 1.0], [0.5, -2.0], [-1.0, -1.0]])
    ...     _, first = model(batch), regulariser().item()
    ...     model[0].weight.data *= 0.5
    ...     _, second = model(batch), regulariser().item()
    >>> first, round(second, 5)
    (1.0, 0.5)
    """

    def __init__(
        self,
        model: Any,
        weight: float,
        layers: Iterable[str] | None = None,
        originals: Mapping[str, tuple[float, ...]] | None = None,
    ) -> None:
        if not 0 <= weight < math.inf:
            raise InvalidInput(
                f"the weight of the regulariser is {weight}, and would reward length or mean nothing; give 0 or more"
            )
        modules = dict(model.named_modules())
        self.weight = weight
        self.layers = _activations(modules) if layers is None else tuple(dict.fromkeys(layers))
        self.originals: dict[str, tuple[float, ...]] = dict(originals or {})
        if not self.layers:
            raise InvalidInput(
                f"no layer is named, or the model has no module of {', '.join(ACTIVATIONS)}, so there is no length to "
                "take; name them, e.g. layers=['hidden.0', 'hidden.1']"
            )
        for name in self.layers:
            if name not in modules:
                raise InvalidInput(
                    f"the model has no module {name!r} to take a length behind; there are "
                    f"{', '.join(filter(None, modules))}"
                )
        self._steps: dict[str, list[Any]] = {}
        self._hooks = [model.register_forward_pre_hook(self._begun)]
        self._hooks += [modules[name].register_forward_hook(self._noting(name)) for name in self.layers]

    def __call__(self) -> Any:
        """The term for the loss of the model's last forward pass with a gradient, a tensor without dimensions.

        Raises:
            InvalidInput: there was no pass with a gradient since the last call; in the first call, a length that is 0
                or not finite; a layer that was passed another number of times than in the first.
        """
        if not self._steps:
            raise InvalidInput(
                "the model has not run with a gradient since the last call, so there is no length; call it on the "
                "batch first, in training, e.g. loss = cross_entropy(model(x), y) + regulariser()"
            )
        steps, self._steps = self._steps, {}
        if not self.originals:
            self.originals = {name: tuple(float(s.detach()) for s in found) for name, found in steps.items()}
            for name, found in self.originals.items():
                if bad := [s for s in found if not 0 < s < math.inf]:
                    self.originals = {}
                    raise InvalidInput(
                        f"the first batch has length {bad[0]:g} behind {name!r}, and no later length is a multiple of "
                        "it; begin with a batch of at least two different points, all finite, or leave out layers that "
                        "are dead"
                    )
        if _passes(steps) != _passes(self.originals):
            raise InvalidInput(
                "the model passed other layers than in the first call, whose lengths these are compared with; make a "
                "new regulariser for each path through the model"
            )
        ratios = [now / then for name, found in steps.items() for now, then in zip(found, self.originals[name])]
        return self.weight * sum(ratios[1:], ratios[0])

    def close(self) -> None:
        """Leave the model alone from now on."""
        for hook in self._hooks:
            hook.remove()

    def __enter__(self) -> TrajectoryRegulariser:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _begun(self, *_: object) -> None:
        if torch().is_grad_enabled():
            self._steps.clear()

    def _noting(self, name: str) -> Any:
        def note(module: Any, given: Any, value: Any) -> None:
            if not hasattr(value, "requires_grad"):
                raise InvalidInput(
                    f"module {name!r} gives a {type(value).__name__}, and only the length of a tensor is known; name "
                    "modules that give tensors, e.g. activations"
                )
            if value.requires_grad:
                self._steps.setdefault(name, []).append(batch_length(value) / max(len(value) - 1, 1))

        return note


def _passes(found: Mapping[str, Sequence[Any]]) -> dict[str, int]:
    """How often each layer was passed."""
    return {name: len(values) for name, values in found.items()}


def _activations(modules: Mapping[str, Any]) -> tuple[str, ...]:
    kinds = tuple(getattr(torch().nn, kind) for kind in ACTIVATIONS)
    return tuple(name for name, module in modules.items() if isinstance(module, kinds))
