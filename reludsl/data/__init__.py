"""Files that come with the library.

| name | what |
|---|---|
| `digits.onnx` | 64-48-32-10 ReLU network for 8 x 8 digits, range [0, 1], 98.6 % of the test images right |
| `digits.npz` | the 360 test images: `images` (360, 64) float32 in [0, 1], `labels` (360,) |
| `digits_train.npz` | the 1,437 training images, in the same form |

All are made by `benchmarks/train_digits.py` from the digits of scikit-learn (UCI, optical recognition of
handwritten digits, CC BY 4.0).
"""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from reludsl.errors import FileProblem


def path(name: str) -> Path:
    """Where a shipped file lies.

    Raises:
        FileProblem: there is no such file, or the package lies in an archive that is not unpacked.

    >>> from reludsl.io import read
    >>> read(path("digits.onnx")).neurons
    80
    """
    folder = resources.files(__name__)
    place = folder / name
    if not place.is_file() or not isinstance(place, Path):
        known = sorted(p.name for p in folder.iterdir() if p.name.endswith((".onnx", ".npz")))
        raise FileProblem(f"{name}: no such file comes with reludsl; there are {', '.join(known)}")
    return place
