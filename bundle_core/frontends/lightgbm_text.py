"""LightGBM: model text (`Booster.save_model`, `model_to_string`) and, through it, Booster and LGBMModel objects.

The rules are those of LightGBM's include/LightGBM/tree.h and src/boosting/gbdt_model_text.cpp, versions 3 and 4.
"""

from __future__ import annotations

import io
import json
import warnings
from collections.abc import Iterable, Iterator
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from bundle_core.errors import BundleInvalid, ModelRefused
from bundle_core.frontends.subclasses import require_predict_of
from bundle_core.ir.builder import LinearTerms, TreeBuilder
from bundle_core.ir.tree_ensemble import CATEGORICAL, NAN_RIGHT, ZERO_IS_MISSING, TreeEnsemble

ZERO_THRESHOLD = float(np.float32(1e-35))
"""LightGBM's kZeroThreshold. Prediction replaces every |x| <= this by 0 before the trees see it."""

KNOWN_VERSIONS = ("v2", "v3", "v4")

OUTPUT_OF_OBJECTIVE: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("regression", "regression_l1", "huber", "fair", "quantile", "mape"), ()),
    **dict.fromkeys(("lambdarank", "rank_xendcg"), ()),
    **dict.fromkeys(("poisson", "gamma", "tweedie"), ("exp",)),
    **dict.fromkeys(("binary", "cross_entropy"), ("sigmoid",)),
    "cross_entropy_lambda": ("log1p_exp",),
}
"""What each single-output objective's ConvertOutput does (src/objective/*.hpp)."""

_TREE_FIELDS = frozenset(
    [
        "num_leaves",
        "num_cat",
        "split_feature",
        "threshold",
        "decision_type",
        "left_child",
        "right_child",
        "leaf_value",
        "cat_boundaries",
        "cat_threshold",
        "is_linear",
        "leaf_const",
        "num_features",
        "leaf_features",
        "leaf_coeff",
    ]
)
_MISSING_NONE, _MISSING_ZERO, _MISSING_NAN = 0, 1, 2


def is_model_text(head: bytes) -> bool:
    """Is this the beginning of a LightGBM model text?"""
    return head.replace(b"\r\n", b"\n").startswith(b"tree\nversion=")


def read(stream: BinaryIO) -> TreeEnsemble:
    """Read a model text line by line; raw scores equal `Booster.predict(X, raw_score=True)` with one thread.

    Raises ModelRefused for several outputs, an unknown objective or version, text categories, and damaged text.
    """
    lines = (line.rstrip(b"\r\n") for line in stream)
    header = _read_header(lines)
    _refuse_what_is_unknown(header)
    builder = TreeBuilder()
    try:
        with warnings.catch_warnings():
            # np.fromstring only warns where it meets something that is no number.
            warnings.simplefilter("error", DeprecationWarning)
            for tree in _read_trees(lines):
                _add_tree(builder, tree)
        _refuse_text_categories(lines)
        names = tuple(header["feature_names"].split())
        n_features = int(header["max_feature_idx"]) + 1
        return builder.build(
            n_features=n_features,
            feature_names=() if names == tuple(f"Column_{i}" for i in range(n_features)) else names,
            source=f"LightGBM {header['version']}, objective {header.get('objective', 'custom')}",
            output=_output_steps(header, builder.n_trees),
        )
    except (KeyError, ValueError, IndexError, DeprecationWarning, BundleInvalid) as error:
        raise _damaged(f"{type(error).__name__}: {error}") from error


def read_booster(booster: Any) -> TreeEnsemble:
    """Read a lightgbm.Booster; like its `predict`, up to best_iteration if early stopping set one."""
    require_predict_of("lightgbm", booster)
    return read(io.BytesIO(booster.model_to_string().encode()))


def read_sklearn(model: Any) -> TreeEnsemble:
    """Read a fitted LGBMRegressor or another LGBMModel. Raises ModelRefused if it is not fitted."""
    require_predict_of("lightgbm", model)
    booster = getattr(model, "_Booster", None)
    if booster is None:
        raise ModelRefused(f"The {type(model).__name__} is not fitted.", next_step="Fit the model and save it again.")
    return read_booster(booster)


def _read_header(lines: Iterator[bytes]) -> dict[str, str]:
    """The key=value lines before the first tree; a line without a value, such as average_output, is its own key."""
    header: dict[str, str] = {}
    for line in lines:
        key, _, value = line.decode(errors="replace").partition("=")
        header[key] = value
        if key == "tree_sizes":
            return header
    raise _damaged("The header has no end.")


def _refuse_what_is_unknown(header: dict[str, str]) -> None:
    version = header.get("version", "")
    if version not in KNOWN_VERSIONS:
        raise _refused(f"The LightGBM model text has the version {version!r}, known are {', '.join(KNOWN_VERSIONS)}.")
    if header.get("num_tree_per_iteration", "1") != "1" or header.get("num_class", "1") != "1":
        raise _refused(
            f"The LightGBM model has {header.get('num_class')} outputs, a Numerai prediction is one.",
            evidence=f"objective={header.get('objective', 'custom')}",
        )
    objective = header.get("objective", "").split()
    if objective and objective[0] not in OUTPUT_OF_OBJECTIVE:
        raise _refused(f"What the LightGBM objective {objective[0]!r} does to the raw score is not known.")


def _output_steps(header: dict[str, str], n_trees: int) -> tuple[tuple[str, float], ...]:
    """What `predict` does to the raw score: random forests average, then the objective converts."""
    steps: list[tuple[str, float]] = []
    if "average_output" in header and n_trees:
        steps.append(("divide", float(n_trees)))
    objective, *arguments = header.get("objective", "").split() or [""]
    sigmoid = next((float(word.partition(":")[2]) for word in arguments if word.startswith("sigmoid:")), 1.0)
    steps += [(name, sigmoid if name == "sigmoid" else 1.0) for name in OUTPUT_OF_OBJECTIVE.get(objective, ())]
    if "sqrt" in arguments:
        steps.append(("signed_square", 1.0))
    return tuple(steps)


def _read_trees(lines: Iterator[bytes]) -> Iterator[dict[str, bytes]]:
    """Each tree's needed fields. Raises ModelRefused if the text stops before it says that the trees end."""
    tree: dict[str, bytes] = {}
    for line in lines:
        key, _, value = line.partition(b"=")
        name = key.decode(errors="replace")
        if name in _TREE_FIELDS:
            tree[name] = value
        elif name == "Tree" and tree:
            yield tree
            tree = {}
        elif name == "end of trees":
            if tree:
                yield tree
            return
    raise _damaged("The text stops before its line 'end of trees'.")


def _add_tree(builder: TreeBuilder, tree: dict[str, bytes]) -> None:
    leaves = int(tree["num_leaves"])
    splits = leaves - 1
    decision = _numbers(tree, "decision_type", np.int32, splits)
    threshold = _numbers(tree, "threshold", np.float64, splits)
    categorical = (decision & 1) != 0
    numeric_threshold, flags = _numeric_rules(threshold, decision)
    builder.add_tree(
        feature=_numbers(tree, "split_feature", np.int32, splits),
        threshold=np.where(categorical, _add_sets(builder, tree, threshold, categorical), numeric_threshold),
        # A category that is NaN, negative or not in the set goes right, whatever the missing type.
        flags=np.where(categorical, CATEGORICAL | NAN_RIGHT, flags),
        left=_numbers(tree, "left_child", np.int32, splits),
        right=_numbers(tree, "right_child", np.int32, splits),
        leaf_value=_numbers(tree, "leaf_value", np.float64, leaves),
    )
    if int(tree.get("is_linear", 0)):
        builder.set_linear_leaves(_numbers(tree, "leaf_const", np.float64, leaves), _linear_terms(tree, leaves))


def _numeric_rules(
    threshold: npt.NDArray[np.float64], decision: npt.NDArray[np.int32]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int32]]:
    """(threshold, flags) of numeric splits, both (splits,): LightGBM sends x left if x <= threshold.

    Missing type none: NaN counts as 0. Type zero: NaN and 0 take the default side. Type NaN: NaN does.
    """
    missing = (decision >> 2) & 3
    if (missing > _MISSING_NAN).any():
        raise _refused("A LightGBM split has an unknown missing type.", evidence=f"decision_type={decision.max()}")
    default_right = (decision & 2) == 0
    nan_right = np.where(missing == _MISSING_NONE, threshold < 0, default_right)
    flags = nan_right * NAN_RIGHT + (missing == _MISSING_ZERO) * ZERO_IS_MISSING
    # |x| <= ZERO_THRESHOLD counts as 0: a threshold inside that interval moves to the end that has the same effect.
    inside = np.abs(threshold) <= ZERO_THRESHOLD
    end = np.where(threshold < 0, np.nextafter(-ZERO_THRESHOLD, -np.inf), ZERO_THRESHOLD)
    return np.where(inside, end, threshold), flags


def _add_sets(
    builder: TreeBuilder,
    tree: dict[str, bytes],
    threshold: npt.NDArray[np.float64],
    categorical: npt.NDArray[np.bool_],
) -> npt.NDArray[np.float64]:
    """(splits,) The builder's set numbers for the tree's categorical splits, whose thresholds number bit sets."""
    number = np.zeros(len(threshold))
    if not categorical.any():
        return number
    bounds = _numbers(tree, "cat_boundaries", np.int64, int(tree["num_cat"]) + 1)
    words = _numbers(tree, "cat_threshold", np.int64, int(bounds[-1])).astype("<u4")
    for split in np.flatnonzero(categorical):
        which = int(threshold[split])
        bits = np.unpackbits(words[bounds[which] : bounds[which + 1]].view(np.uint8), bitorder="little")
        number[split] = builder.add_set(np.flatnonzero(bits))
    return number


def _linear_terms(tree: dict[str, bytes], leaves: int) -> list[LinearTerms]:
    counts = _numbers(tree, "num_features", np.int64, leaves)
    ends = np.cumsum(counts)
    features = _numbers(tree, "leaf_features", np.int32, int(ends[-1])).tolist()
    factors = _numbers(tree, "leaf_coeff", np.float64, int(ends[-1])).tolist()
    return [(features[end - count : end], factors[end - count : end]) for end, count in zip(ends, counts, strict=True)]


def _numbers(tree: dict[str, bytes], name: str, dtype: type[np.generic], count: int) -> npt.NDArray[Any]:
    """(count,) The numbers of a field; "%.17g" is read back to the same double."""
    text = tree.get(name, b"").strip()
    values = np.fromstring(text, dtype, sep=" ") if text else np.zeros(0, dtype)  # type: ignore[call-overload]
    if len(values) != count:
        raise ValueError(f"{name} has {len(values)} values, not {count}")
    return values


def _refuse_text_categories(lines: Iterable[bytes]) -> None:
    """A model trained on pandas categories sees their codes; only where code and value agree can frames be read.

    The line is the last one of the text and missing from texts that lightgbm's command line wrote.
    """
    for line in lines:
        if line.startswith(b"pandas_categorical:"):
            for categories in json.loads(line.partition(b":")[2]) or []:
                if categories != list(range(len(categories))):
                    raise _refused(
                        "The LightGBM model was trained on a pandas category column whose values are not 0, 1, 2, ...",
                        evidence=f"Its categories: {str(categories)[:200]}",
                    )


def _refused(cause: str, *, evidence: str = "") -> ModelRefused:
    return ModelRefused(
        cause,
        evidence=evidence,
        next_step="Use `script` with a predict function that calls lightgbm, in a venv made with "
        "make_venv(packages=['lightgbm']).",
    )


def _damaged(evidence: str) -> ModelRefused:
    return ModelRefused(
        "The LightGBM model text is damaged or cut off.",
        evidence=evidence,
        next_step="Save it again with booster.save_model(path).",
    )
