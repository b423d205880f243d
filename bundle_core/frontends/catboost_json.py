"""CatBoost: JSON (`save_model(path, format="json")`), and through it .cbm files and CatBoost objects.

Raw scores equal `predict(X, prediction_type="RawFormulaVal")` with any number of threads: float32 inputs, trees added
in order in float64, then times scale, plus bias; compared with 1.2, 1.2.8 and 1.2.10. Symmetric trees and the others
are both read; categorical, text and embedding features are not. `.cbm` files and objects take an installed catboost.

Of a JSON file ours equal the model that wrote it. CatBoost's own load_model(format="json") does not: it rounds every
seventh leaf value or so to a neighbouring double.

The rules are those of catboost/libs/model (model_export/json_model_helpers.cpp, cpu/evaluator_impl.cpp).
"""

from __future__ import annotations

import json
import re
import tempfile
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from bundle_core.errors import BundleInvalid, ModelRefused
from bundle_core.frontends.subclasses import require_predict_of
from bundle_core.ir.builder import TreeBuilder
from bundle_core.ir.tree_ensemble import NAN_RIGHT, TreeEnsemble

_IDENTITY = (
    *("RMSE", "MAE", "Quantile", "MAPE", "Huber", "Expectile", "Lq", "LogCosh", "LogLinQuantile", "GroupQuantile"),
    *("QueryRMSE", "PairLogit", "PairLogitPairwise", "YetiRank", "YetiRankPairwise", "LambdaMart", "StochasticRank"),
    *("QuerySoftMax", "QueryCrossEntropy", "Cox", "PythonUserDefinedPerObject"),
)
OUTPUT_OF_LOSS: dict[str, str | None] = {
    **dict.fromkeys(_IDENTITY, None),
    **dict.fromkeys(("Poisson", "Tweedie"), "exp"),
    **dict.fromkeys(("Logloss", "CrossEntropy"), "sigmoid"),
}
"""What CatBoostRegressor.predict does to the raw score by itself; for the last two, what predict_proba does."""

_JSON = re.compile(rb'\s*\{\s*"(features_info|ctr_data|model_info|oblivious_trees|trees|scale_and_bias)"\s*:')
_CBM = b"CBM1"


def is_model(head: bytes) -> bool:
    """Is this the beginning of a CatBoost model, JSON or .cbm?"""
    return head.startswith(_CBM) or _JSON.match(head) is not None


def read(stream: BinaryIO) -> TreeEnsemble:
    """Read JSON, or a .cbm file where catboost is installed. Raises ModelRefused for what the module's text names."""
    data = stream.read()
    if data.startswith(_CBM):
        return read_object(_loaded(data))
    try:
        document = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise _damaged(str(error)) from error
    return _ensemble(document)


def read_object(model: Any) -> TreeEnsemble:
    """Read a CatBoostRegressor or another CatBoost. Raises ModelRefused if not fitted or with a predict of its own."""
    require_predict_of("catboost", model)
    if not model.is_fitted():
        raise ModelRefused(f"The {type(model).__name__} is not fitted.", next_step="Fit the model and save it again.")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.json"
        model.save_model(str(path), format="json")
        return _ensemble(json.loads(path.read_bytes()))


def _loaded(cbm: bytes) -> Any:
    try:
        import catboost  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise ModelRefused(
            "A .cbm file is read by catboost itself, which this Python lacks.",
            evidence=str(error),
            next_step="Save the model with model.save_model('model.json', format='json'), or give a Python with "
            "catboost as training_python.",
        ) from error
    try:
        return catboost.CatBoost().load_model(blob=cbm)
    except catboost.CatBoostError as error:
        raise _damaged(str(error)) from error


def _ensemble(document: dict[str, Any]) -> TreeEnsemble:
    try:
        loss = _loss_of(document)
        _refuse_what_is_unknown(document, loss)
        features = document["features_info"]["float_features"]
        column = np.array([feature["flat_feature_index"] for feature in features], np.int32)
        nan_right = np.array([feature["nan_value_treatment"] == "AsTrue" for feature in features], np.bool_)
        builder = TreeBuilder()
        for tree in document.get("oblivious_trees", ()):
            _add_symmetric(builder, tree, column, nan_right)
        for tree in document.get("trees", ()):
            _add_nested(builder, tree, column, nan_right)
        scale, bias = document["scale_and_bias"]
        n_features = int(column.max(initial=-1)) + 1
        output = OUTPUT_OF_LOSS[loss]
        return builder.build(
            n_features=n_features,
            feature_names=_names(features, n_features),
            source=f"CatBoost, loss {loss}",
            input_dtype="float32",
            scale=float(scale),
            bias=float(np.asarray(bias, np.float64).item()),
            output=() if output is None else ((output, 1.0),),
        )
    except (KeyError, ValueError, IndexError, TypeError, AttributeError, BundleInvalid) as error:
        raise _damaged(f"{type(error).__name__}: {error}") from error


def _loss_of(document: dict[str, Any]) -> str:
    """The name of the loss that the model was trained with; `sum_models` writes it outside of the parameters."""
    info = document.get("model_info", {})
    loss = info.get("params", info).get("loss_function")
    return str((json.loads(loss) if isinstance(loss, str) else loss or {}).get("type"))


def _refuse_what_is_unknown(document: dict[str, Any], loss: str) -> None:
    info = document.get("features_info", {})
    for kind in ("categorical", "text", "embedding"):
        if info.get(f"{kind}_features"):
            raise _refused(f"The CatBoost model has {kind} features.")
    if "ctr_data" in document or info.get("ctrs"):
        raise _refused("The CatBoost model has statistics of categorical features (CTRs).")
    outputs = np.size(document.get("scale_and_bias", (1, 0))[1])
    if outputs > 1:
        raise _refused(
            f"The CatBoost model has {outputs} outputs, a Numerai prediction is one.", evidence=f"loss={loss}"
        )
    if loss not in OUTPUT_OF_LOSS:
        raise _refused(f"What the CatBoost loss {loss!r} does to the raw score is not known.")


def _names(features: list[dict[str, Any]], n_features: int) -> tuple[str, ...]:
    """The columns' names; CatBoost calls columns without a name by their number, or leaves the name empty."""
    names = [feature.get("feature_id", "") for feature in features]
    unnamed = all(
        name in ("", str(feature["flat_feature_index"])) for name, feature in zip(names, features, strict=True)
    )
    return () if unnamed or len(names) != n_features else tuple(names)


def _add_symmetric(
    builder: TreeBuilder, tree: dict[str, Any], column: npt.NDArray[np.int32], nan_right: npt.NDArray[np.bool_]
) -> None:
    """Write a tree with one split a level as a complete tree: bit i of the leaf's number is the answer of split i."""
    splits = tree.get("splits") or []
    depth = len(splits)
    level = np.repeat(np.arange(depth), 1 << np.arange(depth))
    place = np.arange((1 << depth) - 1) - ((1 << level) - 1)
    deeper = (1 << (level + 1)) - 1 + place
    left = np.where(level == depth - 1, ~place, deeper)
    right = np.where(level == depth - 1, ~(place + (1 << level)), deeper + (1 << level))
    feature, border = _float_splits(splits)
    builder.add_tree(
        feature=column[feature][level],
        threshold=border[level],
        flags=np.where(nan_right[feature], NAN_RIGHT, 0)[level],
        left=left,
        right=right,
        leaf_value=tree["leaf_values"],
    )


def _add_nested(
    builder: TreeBuilder, tree: dict[str, Any], column: npt.NDArray[np.int32], nan_right: npt.NDArray[np.bool_]
) -> None:
    """Flatten a tree of nested nodes, as grow_policy Depthwise and Lossguide make them."""
    nodes = [tree]
    left: list[int] = []
    right: list[int] = []
    for node in nodes:
        is_split = "split" in node
        left.append(len(nodes) if is_split else -1)
        right.append(len(nodes) + 1 if is_split else -1)
        if is_split:
            nodes += [node["left"], node["right"]]
    leaf = {"float_feature_index": 0, "border": 0.0, "split_type": "FloatFeature"}
    feature, border = _float_splits([node.get("split", leaf) for node in nodes])
    builder.add_nodes(
        feature=column[feature],
        threshold=border,
        flags=np.where(nan_right[feature], NAN_RIGHT, 0),
        left=left,
        right=right,
        value=[node.get("value", 0.0) for node in nodes],
    )


def _float_splits(splits: list[dict[str, Any]]) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float64]]:
    """(splits,) Which float feature each split asks, and the float32 border above which it goes right."""
    for split in splits:
        if split["split_type"] != "FloatFeature":
            raise _refused(f"The CatBoost model has a split of the type {split['split_type']}.")
    feature = np.array([split["float_feature_index"] for split in splits], np.int32)
    return feature, np.array([split["border"] for split in splits], np.float32).astype(np.float64)


def _refused(cause: str, *, evidence: str = "") -> ModelRefused:
    return ModelRefused(
        cause,
        evidence=evidence,
        next_step="Use `script` with a predict function that calls catboost, in a venv made with "
        "make_venv(packages=['catboost']).",
    )


def _damaged(evidence: str) -> ModelRefused:
    return ModelRefused(
        "The CatBoost model is damaged, cut off, or no model.",
        evidence=evidence,
        next_step="Save it again with model.save_model('model.json', format='json').",
    )
