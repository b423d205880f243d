"""Front ends: native models to the IR. One module a library; a new one is one file and its lines in the registries."""

from __future__ import annotations

import gzip
import lzma
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

from bundle_core.errors import ModelRefused
from bundle_core.frontends import (
    catboost_json,
    lightgbm_text,
    sklearn_linear,
    sklearn_mlp,
    sklearn_pipelines,
    sklearn_trees,
    torch_modules,
    weights,
    xgboost_json,
)
from bundle_core.ir import Model

HEAD_BYTES = 65536
"""How much of a file's (decompressed) beginning a format is recognised by."""


@dataclass(frozen=True)
class FileFormat:
    """A file format: what it is called, how it begins, how it is read (from the start of a decompressed stream)."""

    name: str
    matches: Callable[[bytes], bool]
    read: Callable[[BinaryIO], Model]


FILE_FORMATS: tuple[FileFormat, ...] = (
    FileFormat("LightGBM model text", lightgbm_text.is_model_text, lightgbm_text.read),
    FileFormat("XGBoost JSON and UBJSON", xgboost_json.is_model, xgboost_json.read),
    FileFormat("CatBoost JSON and .cbm", catboost_json.is_model, catboost_json.read),
    FileFormat("weights (.npz)", weights.is_npz, weights.read_npz),
    # Last: any JSON that is no library's.
    FileFormat("weights (.json)", weights.is_json, weights.read_json),
)

OBJECT_READERS: dict[str, Callable[[Any], Model]] = {
    "lightgbm.basic.Booster": lightgbm_text.read_booster,
    "lightgbm.sklearn.LGBMModel": lightgbm_text.read_sklearn,
    "xgboost.core.Booster": xgboost_json.read_booster,
    "xgboost.sklearn.XGBModel": xgboost_json.read_sklearn,
    "catboost.core.CatBoost": catboost_json.read_object,
    "sklearn.cross_decomposition._pls.PLSRegression": sklearn_linear.read_pls,
    "sklearn.linear_model._base.LinearModel": sklearn_linear.read,
    "sklearn.linear_model._stochastic_gradient.BaseSGDRegressor": sklearn_linear.read,
    "sklearn.neural_network._multilayer_perceptron.MLPRegressor": sklearn_mlp.read,
    "sklearn.tree._classes.DecisionTreeRegressor": sklearn_trees.read_tree,
    "sklearn.ensemble._forest.RandomForestRegressor": sklearn_trees.read_forest,
    "sklearn.ensemble._forest.ExtraTreesRegressor": sklearn_trees.read_forest,
    "sklearn.ensemble._gb.GradientBoostingRegressor": sklearn_trees.read_gradient_boosting,
    "sklearn.ensemble._hist_gradient_boosting.gradient_boosting.HistGradientBoostingRegressor": (
        sklearn_trees.read_hist_gradient_boosting
    ),
    **dict.fromkeys(sklearn_pipelines.COMPOSITIONS, sklearn_pipelines.read),
    "torch.nn.modules.module.Module": torch_modules.read,
    **dict.fromkeys(("builtins.dict", "collections.OrderedDict"), torch_modules.read_dict),
}
"""By qualified name of the class; the first one over the object's MRO reads it, so subclasses are read too."""


def read_model(path: Path) -> Model:
    """Read a model file, also .gz or .xz, recognised by its content.

    Raises ModelRefused for a missing or unreadable file, an unknown format and a model that is not supported.
    """
    try:
        with opened(path) as stream:
            head = stream.read(HEAD_BYTES)
            stream.seek(0)
            for file_format in FILE_FORMATS:
                if file_format.matches(head):
                    return file_format.read(stream)
    except (OSError, EOFError, lzma.LZMAError, zlib.error) as error:
        raise ModelRefused(
            f"The model file {path.name} cannot be read.",
            evidence=f"{type(error).__name__}: {error}",
            next_step="Check the path, and that the file is complete.",
        ) from error
    raise ModelRefused(
        f"The file {path.name} is in no model format that is read here.",
        evidence=f"It begins with {head[:40]!r}. Known formats: {', '.join(known.name for known in FILE_FORMATS)}.",
        next_step="Save the model in its library's own text or JSON format, or use `script`.",
    )


def read_object(model: object) -> Model:
    """Read a fitted model object. Raises ModelRefused for a class that is not known and for what its reader refuses."""
    for base in type(model).__mro__:
        reader = OBJECT_READERS.get(f"{base.__module__}.{base.__qualname__}")
        if reader is not None:
            return reader(model)
    raise ModelRefused(
        f"Objects of the class {type(model).__module__}.{type(model).__qualname__} are not read here.",
        evidence=f"Known classes: {', '.join(sorted(OBJECT_READERS))}.",
        next_step="Use `script` with a predict function that calls the library, in a venv made with "
        "make_venv(packages=[...]) at the image's pins.",
    )


def opened(path: Path) -> BinaryIO:
    """The file's content as a stream, decompressed if it is .gz or .xz. Raises OSError."""
    with path.open("rb") as file:
        magic = file.read(6)
    if magic.startswith(b"\x1f\x8b"):
        return cast(BinaryIO, gzip.open(path))
    if magic == b"\xfd7zXZ\x00":
        return cast(BinaryIO, lzma.open(path))
    return path.open("rb")
