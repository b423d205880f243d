"""Trained torch modules, the files that torch.save writes of them, and the comparison with torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from bundle_core.native import native_scores
from bundle_core.pipeline import check
from bundle_core.sources import NativeSource, read_source
from tests.nets.training_data import features, reread, scores

FLOAT32_ROUNDING = 1e-5
FLOAT64_ROUNDING = 1e-12
FRAME = features(7000)
INPUTS = FRAME.shape[1]


def nn() -> Any:
    import torch.nn

    return torch.nn


def trained(*modules: Any, dtype: str = "float32") -> Any:
    """A Sequential with statistics in its norms, left in training mode."""
    import torch

    torch.manual_seed(0)
    module = nn().Sequential(*modules).to(getattr(torch, dtype))
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter, 0.1, 0.3)
    module.train()
    module(torch.tensor(FRAME.to_numpy()).to(getattr(torch, dtype)))
    return module


def saved(folder: Path, content: Any) -> Path:
    import torch

    torch.save(content, folder / "model.pt")
    return folder / "model.pt"


def read(path: Path, network: dict[str, Any] | None = None) -> NativeSource:
    declared = check({"network": network}).network if network is not None else None
    return read_source(path, declared)


def apart(source: NativeSource) -> float:
    """The largest difference from what torch's own module gives, in units of the scores' spread."""
    theirs = native_scores(source, FRAME.to_numpy())
    assert not isinstance(theirs, str), theirs
    ours = scores(reread(source.model), FRAME)
    assert ours.dtype == theirs.dtype
    return float(np.abs(ours - theirs).max() / theirs.std())
