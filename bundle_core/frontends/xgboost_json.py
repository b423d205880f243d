"""XGBoost: JSON and UBJSON (`save_model`, `save_raw`) and, through UBJSON, Booster and XGBModel objects.

Raw scores equal `Booster.predict(DMatrix(X), output_margin=True)` with any number of threads; compared with 1.7, 3.0,
3.2, 3.3 and 3.4. No base margin is given to it: one that rows had in training is not in the model.

- A Booster predicts with all of its trees, an XGBModel with those up to best_iteration if early stopping set one.
  A file that an XGBModel saved says so (attribute "scikit_learn") and is read as one, any other as a Booster.
- Of DART's trees `XGBModel.predict` and `Booster.inplace_predict` give other last bits before 3.3: they add base_score
  to each tree and subtract it before they weight it. An XGBModel object is read so, files and Boosters as above.
- A categorical column holds category numbers. Text categories are refused; what pandas categories a model before
  3.1 was trained on is not in the model.

The rules are those of include/xgboost/tree_model.h, src/common/categorical.h, src/gbm/gbtree.cc, src/objective/*.
"""

from __future__ import annotations

import ctypes
import json
import math
import re
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from bundle_core.errors import BundleInvalid, ModelRefused
from bundle_core.frontends import ubjson
from bundle_core.frontends.subclasses import require_predict_of
from bundle_core.ir.builder import TreeBuilder
from bundle_core.ir.tree_ensemble import CATEGORICAL, NAN_RIGHT, SET_RIGHT, TreeEnsemble

_IDENTITY = (
    *("reg:squarederror", "reg:linear", "reg:squaredlogerror", "reg:absoluteerror", "reg:pseudohubererror"),
    *("reg:quantileerror", "reg:expectileerror", "rank:pairwise", "rank:ndcg", "rank:map", "binary:logitraw"),
)
OUTPUT_OF_OBJECTIVE: dict[str, str | None] = {
    **dict.fromkeys(_IDENTITY, None),
    **dict.fromkeys(("reg:logistic", "binary:logistic"), "sigmoid"),
    **dict.fromkeys(("count:poisson", "reg:gamma", "reg:tweedie", "survival:cox", "survival:aft"), "exp"),
}
"""What each single-output objective's PredTransform does; its ProbToMargin, the inverse, is what base_score needs."""

_JSON = re.compile(rb'\s*\{\s*"(learner|version)"\s*:')
_UBJSON = re.compile(rb"\{[iUIlL]\0*\x07(learner|version)")
_OTHER_FORMATS = (
    (re.compile(rb"binf|CONFIG-offset:"), "the binary format that XGBoost wrote before 3.1"),
    (re.compile(rb"booster\[0\]"), "a text dump of an XGBoost model, which has no base_score"),
    (
        re.compile(rb'\s*\[\s*\{\s*"nodeid"'),
        "a JSON dump of an XGBoost model, which has no base_score",
    ),
)


def is_model(head: bytes) -> bool:
    """Is this the beginning of an XGBoost model in any of its formats, also in those that `read` refuses?"""
    return any(pattern.match(head) for pattern in (_JSON, _UBJSON, *(pattern for pattern, _ in _OTHER_FORMATS)))


def read(stream: BinaryIO) -> TreeEnsemble:
    """Read JSON or UBJSON. Raises ModelRefused for XGBoost's other formats and for what the module's text names."""
    data = stream.read()
    for pattern, what in _OTHER_FORMATS:
        if pattern.match(data):
            raise ModelRefused(
                f"The model file is {what}.",
                next_step="Load the model with the XGBoost that trained it and save it with "
                "booster.save_model('model.ubj').",
            )
    try:
        document = json.loads(data) if _JSON.match(data) else ubjson.loads(data)
    except (ValueError, RecursionError) as error:
        raise _damaged(str(error)) from error
    return _ensemble(document, to_best_iteration="scikit_learn" in _learner(document).get("attributes", {}))


def read_booster(booster: Any) -> TreeEnsemble:
    """Read an xgboost.Booster: like its `predict`, with all of its trees."""
    return _ensemble(ubjson.loads(bytes(booster.save_raw("ubj"))), to_best_iteration=False)


def read_sklearn(model: Any) -> TreeEnsemble:
    """Read a fitted XGBRegressor or another XGBModel: like its `predict`, with the trees up to best_iteration.

    Raises ModelRefused if it is not fitted, takes another value than NaN as missing, or has a predict of its own.
    """
    require_predict_of("xgboost", model)
    booster = getattr(model, "_Booster", None)
    if booster is None:
        raise ModelRefused(f"The {type(model).__name__} is not fitted.", next_step="Fit the model and save it again.")
    _refuse_missing_value(model.missing)
    return _ensemble(ubjson.loads(bytes(booster.save_raw("ubj"))), to_best_iteration=True, in_place=True)


def _ensemble(document: Any, *, to_best_iteration: bool, in_place: bool = False) -> TreeEnsemble:
    learner = _learner(document)
    try:
        booster = learner["gradient_booster"]
        objective = str(learner["objective"]["name"])
        _refuse_what_is_unknown(learner, booster, objective)
        model = booster["gbtree"]["model"] if "gbtree" in booster else booster["model"]
        weights = booster.get("weight_drop", model.get("weight_drop", ()))
        trees = model["trees"]
        best = _trees_to_best_iteration(learner, model)
        used = best if to_best_iteration else len(trees)
        output = OUTPUT_OF_OBJECTIVE[objective]
        start = _base_margin(learner["learner_model_param"]["base_score"], output)
        # The versions that keep DART's gbtree inside of it are those with the detour.
        detour = np.float32(start if in_place and "gbtree" in booster else 0)
        builder = TreeBuilder()
        for i, tree in enumerate(trees[:used]):
            _add_tree(builder, tree, detour, np.float32(weights[i] if len(weights) else 1))
        kind = "dart" if len(weights) else "gbtree"
        return builder.build(
            n_features=int(learner["learner_model_param"]["num_feature"]),
            feature_names=tuple(learner.get("feature_names", ())),
            source=f"XGBoost {kind}, objective {objective}"
            + (f", {used} of {len(trees)} trees, best_iteration ends at {best}" if best < len(trees) else ""),
            input_dtype="float32",
            sum_dtype="float32",
            start=start,
            output=() if output is None else ((output, 1.0),),
            category_rounding="floor",
        )
    except (KeyError, ValueError, IndexError, TypeError, AttributeError, BundleInvalid) as error:
        raise _damaged(f"{type(error).__name__}: {error}") from error


def _learner(document: Any) -> dict[str, Any]:
    learner = document.get("learner") if isinstance(document, dict) else None
    if not isinstance(learner, dict) or "gradient_booster" not in learner or "learner_model_param" not in learner:
        raise _damaged("It has no learner with a gradient_booster and a learner_model_param.")
    return learner


def _refuse_what_is_unknown(learner: dict[str, Any], booster: dict[str, Any], objective: str) -> None:
    name = booster.get("name")
    if name not in ("gbtree", "dart"):
        raise _refused(f"The XGBoost booster {name!r} is not read here, only gbtree and dart are.")
    param = learner["learner_model_param"]
    outputs = max(int(param.get("num_class", 0)), int(param.get("num_target", 1)))
    if outputs > 1:
        raise _refused(
            f"The XGBoost model has {outputs} outputs, a Numerai prediction is one.",
            evidence=f"objective={objective}",
        )
    if objective not in OUTPUT_OF_OBJECTIVE:
        raise _refused(f"What the XGBoost objective {objective!r} does to the raw score is not known.")
    settings = str(learner.get("attributes", {}).get("scikit_learn", "{}"))
    missing = json.loads(settings).get("missing") if settings.startswith("{") else None
    if missing is not None:
        _refuse_missing_value(missing)
    model = booster.get("gbtree", booster).get("model", {})
    for column in model.get("cats", {}).get("enc", ()):
        values = np.asarray(column["values"])
        if "offsets" in column and len(column["offsets"]):
            raise _refused("The XGBoost model was trained on a category column of texts.")
        if not np.array_equal(values, np.arange(len(values))):
            raise _refused(
                "The XGBoost model was trained on a category column whose values are not 0, 1, 2, ...",
                evidence=f"Its categories: {values.tolist()!s:.200}",
            )


def _refuse_missing_value(missing: Any) -> None:
    if not math.isnan(missing):
        raise _refused(f"The XGBoost model takes the value {missing} as missing, only NaN is read here.")


def _trees_to_best_iteration(learner: dict[str, Any], model: dict[str, Any]) -> int:
    """How many trees XGBModel.predict uses: those up to the best iteration, or all."""
    best = learner.get("attributes", {}).get("best_iteration")
    parallel = int(model["gbtree_model_param"].get("num_parallel_tree", 1))
    return len(model["trees"]) if best is None else (int(best) + 1) * max(1, parallel)


def _add_tree(builder: TreeBuilder, tree: dict[str, Any], detour: np.float32, weight: np.float32) -> None:
    """XGBoost sends x left if x < split_condition, both float32; missing values where default_left says.

    A leaf's value, its split_condition, is rounded by adding and subtracting `detour`, then weighted.
    """
    left = np.asarray(tree["left_children"], np.int64)
    condition = np.asarray(tree["split_conditions"], np.float32)
    nan_right = np.where(np.asarray(tree["default_left"], np.bool_), 0, NAN_RIGHT)
    categorical = np.asarray(tree.get("split_type", np.zeros(len(left))), np.int64) == 1
    below = np.nextafter(condition, np.float32(-np.inf)).astype(np.float64)
    builder.add_nodes(
        feature=tree["split_indices"],
        threshold=np.where(categorical, _add_sets(builder, tree, len(left)), below),
        flags=np.where(categorical, CATEGORICAL | SET_RIGHT, 0) | nan_right,
        left=left,
        right=tree["right_children"],
        value=((condition + detour) - detour) * weight,
    )


def _add_sets(builder: TreeBuilder, tree: dict[str, Any], nodes: int) -> npt.NDArray[np.float64]:
    """(nodes,) The builder's numbers of the sets of categories that go right; 0 where a node has none."""
    number = np.zeros(nodes)
    members = np.asarray(tree.get("categories", ()), np.int64)
    segments = (tree.get(f"categories_{name}", ()) for name in ("nodes", "segments", "sizes"))
    for node, start, size in zip(*segments, strict=True):
        number[node] = builder.add_set(members[start : start + size])
    return number


def _base_margin(base_score: Any, output: str | None) -> float:
    """The raw score that the sum starts at: what the objective's ProbToMargin makes of base_score, in float32.

    Versions before 3.1 wrote "5E-1", later ones "[5E-1]".
    """
    value = json.loads(base_score) if isinstance(base_score, str) else base_score
    (score,) = np.asarray(value, np.float32).reshape(-1)
    if output == "exp":
        return _logf(score)
    if output == "sigmoid":
        return -_logf(np.float32(1) / score - np.float32(1))
    return float(score)


def _logf(x: np.float32) -> float:
    """The C library's logarithm of a float, which XGBoost calls: the last bit differs from numpy's."""
    if not x > 0:
        raise ValueError(f"base_score has no margin: log({x})")
    log = ctypes.CDLL(None).logf
    log.argtypes, log.restype = [ctypes.c_float], ctypes.c_float
    return float(log(float(x)))


def _refused(cause: str, *, evidence: str = "") -> ModelRefused:
    return ModelRefused(
        cause,
        evidence=evidence,
        next_step="Use `script` with a predict function that calls xgboost, in a venv made with "
        "make_venv(packages=['xgboost']).",
    )


def _damaged(evidence: str) -> ModelRefused:
    return ModelRefused(
        "The XGBoost model is damaged, cut off, or no model.",
        evidence=evidence,
        next_step="Save it again with booster.save_model('model.ubj').",
    )
