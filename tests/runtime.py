"""Files run by onnxruntime, the outside opinion on what was written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from data import need


def onnx_outputs(path: Path, images: Any) -> Any:
    """What a file puts out for a batch, or a skip."""
    runtime = need("onnxruntime")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = 1
    session = runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    entry = session.get_inputs()[0]
    batch = images.astype(np.float64 if "double" in entry.type else np.float32)
    return session.run(None, {entry.name: batch})[0].astype(np.float64)
