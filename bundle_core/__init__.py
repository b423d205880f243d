"""Turn trained models into portable numpy bundles and pickles for Numerai's container.

    import bundle_core

    model = bundle_core.convert("model.txt")                      # or a fitted model object
    bundle = bundle_core.compose([model], {"rank": "era"})
    bundle_core.save(bundle, "model.npz")
    predictions = bundle_core.predict(bundle, live_features, live_benchmark_models)
    bundle_core.pack(bundle, "model.pkl")                         # in the Python that matches the image

Importing this imports nothing else; converting and saving need numpy, predicting pandas, packing cloudpickle.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import os

    import pandas as pd

    from bundle_core.bundle import Bundle
    from bundle_core.reports import PackReport

    Path = str | os.PathLike[str]

__all__ = ["compose", "convert", "load", "pack", "predict", "save"]


def convert(model: Any, features: Sequence[str] | None = None, network: Mapping[str, Any] | None = None) -> Bundle:
    """The bundle of one model: a path of a model file, or a fitted model object. Its raw score is what it predicts.

    `features` are the columns' names in training order; they are needed where the model does not know them.
    `network` declares the layers of a torch state dict: `pipeline.network`.
    A pickle is loaded, which runs code in it. Raises ModelRefused or PipelineInvalid.
    """
    from bundle_core.composition import single

    return single(model, None if features is None else list(features), None if network is None else dict(network))


def compose(
    models: Sequence[Any], pipeline: Mapping[str, Any] | None = None, weights: Sequence[float] | None = None
) -> Bundle:
    """One bundle of several models with the steps of `pipeline` (all its keys but features, models, network).

    Each model is a bundle, whose own steps are not applied, or what `convert` takes. Weights default to 1 each.
    Raises PipelineInvalid, and what `convert` does.
    """
    from bundle_core.composition import together

    return together(models, {} if pipeline is None else dict(pipeline), weights)


def save(bundle: Bundle, path: Path) -> None:
    """Write the bundle file: `.npz`, no pickle inside, equal bytes for equal bundles. Raises PackRefused."""
    import pathlib

    from bundle_core import bundle as bundle_file

    bundle_file.save(bundle, pathlib.Path(path))


def load(path: Path) -> Bundle:
    """Read and validate a bundle file; nothing in it is executed. Raises BundleInvalid."""
    import pathlib

    from bundle_core import bundle as bundle_file

    return bundle_file.load(pathlib.Path(path))


def predict(
    bundle: Bundle, live_features: pd.DataFrame, live_benchmark_models: pd.DataFrame | None = None
) -> pd.DataFrame:
    """What the packed pickle would return: the column `prediction` by `id`.

    Raises ValueError where columns are missing, or predictions are NaN or leave [0, 1].
    """
    from bundle_core.plan import make_plan
    from bundle_core.runtime.predict import run

    return run(make_plan(bundle), live_features, live_benchmark_models)


def pack(bundle: Bundle, path: Path) -> PackReport:
    """Write the pickle that Numerai runs. It works in this Python minor and package generation only: use the venv
    that matches the image. Raises PackRefused.
    """
    import pathlib

    from bundle_core import packing

    return packing.pack(bundle, pathlib.Path(path))
