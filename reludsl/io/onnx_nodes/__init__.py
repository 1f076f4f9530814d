"""The ONNX nodes of each layer type: `write_layer`, and functions registered with it by theme."""

from __future__ import annotations

from reludsl.io.onnx_nodes import elementwise, selections, spatial
from reludsl.io.onnx_nodes.base import Place as Place
from reludsl.io.onnx_nodes.base import Writing as Writing
from reludsl.io.onnx_nodes.base import write_layer as write_layer

THEMES = (elementwise, selections, spatial)
"""Modules that register what they write."""
