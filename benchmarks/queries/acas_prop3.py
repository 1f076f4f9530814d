"""ACAS Xu 1_7 and property 3, as VNN-LIB states it: is "clear of conflict" ever the best score?"""

from __future__ import annotations

from pathlib import Path

import reludsl as rd
from reludsl.answer import Verdict
from reludsl.bench import Query

NET, PROPERTY = "acasxu/ACASXU_run2a_1_7_batch_2000.onnx", "acasxu/prop_3.vnnlib"


def build(data: Path) -> rd.Find:
    return rd.read_vnnlib(data / PROPERTY, rd.read(data / NET)).question


BENCH = Query("acas-1-7-prop-3", "ACAS Xu 1_7, property 3", build, (NET, PROPERTY), verdict=Verdict.PROVED)
