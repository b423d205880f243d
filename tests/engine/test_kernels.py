"""All kernels give the same sums as walking the trees one row at a time."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bundle_core.ir.builder import TreeBuilder
from bundle_core.ir.tree_ensemble import NAN_RIGHT, TreeEnsemble
from bundle_core.lowering import lower, trees
from bundle_core.lowering.choice import choose_kernel, depths
from bundle_core.lowering.complete import WALKED_LEVELS
from bundle_core.lowering.gather import TREES_IN_GROUP
from bundle_core.runtime.evaluate import raw_scores
from bundle_core.runtime.split_tests import MOST_CUTS_COMPARED

FEATURES = 5


def random_forest(rng: np.random.Generator, n_trees: int, leaves: int, cuts: int, **arithmetic: Any) -> TreeEnsemble:
    """Trees grown by splitting random leaves, at `cuts` different thresholds."""
    builder = TreeBuilder()
    thresholds = np.sort(rng.normal(size=cuts)).astype(np.float32)
    for _ in range(n_trees):
        splits = int(rng.integers(0, leaves))
        left, right, parents = np.full(splits, -1), np.full(splits, -1), [(0, "root")]
        for split in range(splits):
            parent, side = parents.pop(int(rng.integers(len(parents))))
            if side != "root":
                (left if side == "left" else right)[parent] = split
            parents += [(split, "left"), (split, "right")]
        for leaf, (parent, side) in enumerate(parents):
            if side != "root":
                (left if side == "left" else right)[parent] = ~leaf
        builder.add_tree(
            feature=rng.integers(0, FEATURES, splits),
            threshold=rng.choice(thresholds, splits),
            flags=rng.integers(0, 2, splits) * NAN_RIGHT,
            left=left,
            right=right,
            leaf_value=rng.normal(size=splits + 1).astype(np.float32),
        )
    return builder.build(n_features=FEATURES, feature_names=(), source="random", **arithmetic)


def walked(model: TreeEnsemble, X: np.ndarray) -> np.ndarray:
    """The raw scores as the IR's documentation defines them."""
    number = np.dtype(model.sum_dtype).type
    scores = np.empty(len(X), model.sum_dtype)
    for i, row in enumerate(X.astype(model.input_dtype)):
        total = number(model.start)
        for tree in range(model.n_trees):
            first, node = model.split_start[tree], 0 if model.split_start[tree + 1] > model.split_start[tree] else ~0
            while node >= 0:
                x = row[model.feature[first + node]]
                nan_right = bool(model.flags[first + node] & NAN_RIGHT)
                goes_right = nan_right if np.isnan(x) else x > model.threshold[first + node]
                node = (model.right if goes_right else model.left)[first + node]
            total = total + number(model.leaf_value[model.leaf_start[tree] + ~node])
        scores[i] = total / number(model.divisor) * number(model.scale) + number(model.bias)
    return scores


def random_rows(rng: np.random.Generator, rows: int, model: TreeEnsemble) -> np.ndarray:
    odd = np.concatenate([model.threshold, [0.0, np.nan, np.inf, -np.inf]])
    X = rng.normal(size=(rows, FEATURES))
    return np.where(rng.random(X.shape) < 0.4, rng.choice(odd, X.shape), X)


@pytest.mark.parametrize("kernel", ["complete", "hybrid", "leafwise", "gather"])
@settings(max_examples=30, deadline=None, derandomize=True)
@given(
    seed=st.integers(0, 2**31),
    leaves=st.sampled_from([1, 2, 6, 20]),
    cuts=st.sampled_from([1, 3, 7, 20, 300]),
    rows=st.sampled_from([1, 63, 64, 65, 130]),
    sums=st.sampled_from(["float32", "float64"]),
)
def test_every_kernel_adds_the_leaves_that_the_rows_reach(
    kernel: str, seed: int, leaves: int, cuts: int, rows: int, sums: str
) -> None:
    rng = np.random.default_rng(seed)
    arithmetic = {"sum_dtype": sums, "start": 0.5, "divisor": 3.0, "scale": 1.25, "bias": -1.0}
    model = random_forest(rng, 11, leaves, cuts, **arithmetic)
    if kernel in ("complete", "hybrid") and depths(model).max() > 10:
        return
    X = random_rows(rng, rows, model)
    lowered = lowered_for(kernel, model)
    assert lowered["kernel"] in (kernel, "oblivious") or "below_cut" in lowered
    assert np.array_equal(raw_scores(lowered, X), walked(model, X))


def lowered_for(kernel: str, model: TreeEnsemble) -> dict[str, Any]:
    """The model in the layout of this kernel, whichever is the fastest."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trees, "choose_kernel", lambda *_: kernel)
        return lower(model)


@pytest.mark.parametrize("kernel", ["complete", "hybrid", "leafwise", "gather"])
@pytest.mark.parametrize("dtype", ["bool", "int8", "uint8", "int16", "uint16", "int64"])
def test_whole_numbers_are_compared_with_thresholds_between_them(kernel: str, dtype: str) -> None:
    rng = np.random.default_rng(5)
    model = random_forest(rng, 40, 9, 300)
    X = rng.integers(0 if dtype[0] in "bu" else -3, 4, (100, FEATURES)).astype(dtype)

    lowered = lowered_for(kernel, model)

    assert kernel in ("hybrid", "gather") or len(lowered["tests"]["whole"]["cut"]) < len(lowered["tests"]["cut"])
    assert np.array_equal(raw_scores(lowered, X), walked(model, X))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("rows", [1, 65, 3000])
def test_a_column_with_hundreds_of_thresholds_is_compared_with_each(rows: int, dtype: str) -> None:
    rng = np.random.default_rng(6)
    model = random_forest(rng, 100, 80, 5000)
    X = random_rows(rng, rows, model).astype(dtype)

    lowered = lowered_for("leafwise", model)

    assert lowered["tests"]["tests_of_column"].min() > MOST_CUTS_COMPARED
    assert np.array_equal(raw_scores(lowered, X), walked(model, X))


def test_upper_levels_of_many_trees_are_walked_group_by_group() -> None:
    rng = np.random.default_rng(8)
    model = random_forest(rng, 2 * TREES_IN_GROUP + 1, 20, 40)
    X = random_rows(rng, 70, model)

    lowered = lowered_for("gather", model)

    assert len(lowered["groups"]) == 3
    assert np.array_equal(raw_scores(lowered, X), walked(model, X))


def test_small_and_large_trees_stand_in_one_forest() -> None:
    rng = np.random.default_rng(7)
    builder = TreeBuilder()
    for leaves in [1, 2, 1900, 3, 90, 5, 5, 1, 300, 40, 8, 8]:
        builder.add_tree(**chain(rng, leaves))
    forest = builder.build(n_features=FEATURES, feature_names=(), source="mixed", start=0.1)
    X = random_rows(rng, 200, forest)

    lowered = lowered_for("leafwise", forest)

    assert len(set(lowered["bits"].tolist())) > 1
    assert np.array_equal(raw_scores(lowered, X), walked(forest, X))


def chain(rng: np.random.Generator, leaves: int) -> dict[str, Any]:
    """A tree of so many leaves as the builder takes it: a chain of splits."""
    splits = leaves - 1
    left, right = ~np.arange(splits), np.append(np.arange(1, splits), ~splits)[:splits]
    # Halfway the chain of right children goes on to the left.
    turn = splits // 2
    left[turn:], right[turn:] = right[turn:].copy(), left[turn:].copy()
    return {
        "feature": rng.integers(0, FEATURES, splits),
        "threshold": rng.normal(size=splits),
        "flags": rng.integers(0, 2, splits) * NAN_RIGHT,
        "left": left,
        "right": right,
        "leaf_value": rng.normal(size=leaves),
    }


@pytest.mark.parametrize("kernel", ["complete", "hybrid", "leafwise", "gather"])
def test_a_chunk_boundary_changes_nothing(kernel: str) -> None:
    rng = np.random.default_rng(1)
    model = random_forest(rng, 60, 20 if kernel in ("leafwise", "gather") else 8, 40)
    X = random_rows(rng, 100_000, model)
    lowered = lowered_for(kernel, model)
    some = np.r_[0:70, 6500:6560, 99_990:100_000]
    assert np.array_equal(raw_scores(lowered, X)[some], walked(model, X[some]))
    assert np.array_equal(raw_scores(lowered, X[some]), walked(model, X[some]))


def test_memory_order_changes_nothing() -> None:
    rng = np.random.default_rng(2)
    model = random_forest(rng, 3, 3, 5)
    X = random_rows(rng, 200, model)
    expected = raw_scores(lower(model), X)
    assert np.array_equal(raw_scores(lower(model), np.asfortranarray(X)), expected)


@pytest.mark.parametrize("kernel", ["complete", "hybrid", "leafwise", "gather"])
@pytest.mark.parametrize("dtype", ["int8", "float32", "float64"])
def test_columns_may_stand_among_others_in_another_order(kernel: str, dtype: str) -> None:
    rng = np.random.default_rng(8)
    model = random_forest(rng, 30, 20, 500)
    lowered = lowered_for(kernel, model)
    wide = np.asfortranarray((rng.normal(size=(300, 2 * FEATURES)) * 3).astype(dtype))
    places = rng.permutation(2 * FEATURES)[:FEATURES]
    expected = walked(model, wide[:, places])
    assert np.array_equal(raw_scores(lowered, wide, places), expected)
    assert np.array_equal(raw_scores(lowered, wide[100:230], places), expected[100:230])


def test_no_rows_give_no_scores() -> None:
    model = random_forest(np.random.default_rng(3), 5, 6, 5)
    assert raw_scores(lower(model), np.zeros((0, FEATURES))).shape == (0,)


def test_another_number_of_columns_is_refused() -> None:
    model = random_forest(np.random.default_rng(4), 5, 6, 5)
    with pytest.raises(ValueError, match="5 features"):
        raw_scores(lower(model), np.zeros((3, FEATURES + 1)))


def full_forest(rng: np.random.Generator, depth: int, one_test_a_level: bool) -> TreeEnsemble:
    """Twenty complete trees."""
    builder = TreeBuilder()
    splits = 2**depth - 1
    level = np.repeat(np.arange(depth), 2 ** np.arange(depth))
    number = np.arange(splits) - (2**level - 1)
    inner = level < depth - 1
    test = level if one_test_a_level else np.arange(splits)
    for _ in range(20):
        builder.add_tree(
            feature=rng.integers(0, FEATURES, splits)[test],
            threshold=rng.integers(-2, 3, splits)[test],
            flags=np.zeros(splits),
            left=np.where(inner, 2 ** (level + 1) - 1 + number, ~number),
            right=np.where(inner, 2 ** (level + 1) - 1 + number + 2**level, ~(number + 2**level)),
            leaf_value=rng.normal(size=splits + 1),
        )
    return builder.build(n_features=FEATURES, feature_names=(), source="full")


@pytest.mark.parametrize("depth", [1, 4, 8, 9])
@pytest.mark.parametrize(("one_test_a_level", "kernel"), [(True, "oblivious"), (False, "complete")])
def test_full_trees_are_walked_and_oblivious_ones_need_no_walk(depth: int, one_test_a_level: bool, kernel: str) -> None:
    rng = np.random.default_rng(depth)
    model = full_forest(rng, depth, one_test_a_level)
    X = random_rows(rng, 100, model)
    lowered = lower(model)
    assert lowered["kernel"] == kernel or depth == 1
    assert kernel == "oblivious" or bool(lowered.get("below", X[:0]).size) == (depth > WALKED_LEVELS)
    assert np.array_equal(raw_scores(lowered, X), walked(model, X))


def test_lopsided_trees_of_few_leaves_are_walked_as_they_are_and_huge_ones_gathered() -> None:
    assert choose_kernel(chains(length=30), 30) == "leafwise"
    assert choose_kernel(chains(length=5000), 5000) == "gather"


def chains(length: int) -> TreeEnsemble:
    """Ten trees of which every split's left child is a leaf."""
    builder = TreeBuilder()
    for _ in range(10):
        builder.add_tree(
            feature=np.zeros(length),
            threshold=np.arange(length),
            flags=np.zeros(length),
            left=~np.arange(length),
            right=np.append(np.arange(1, length), ~length),
            leaf_value=np.arange(length + 1),
        )
    return builder.build(n_features=1, feature_names=(), source="chains")


def test_a_chain_of_sixty_levels_is_walked_to_its_end() -> None:
    X = np.arange(-1.0, 62.0)[:, None]
    expected = np.clip(np.ceil(X[:, 0]), 0, 60) * 10
    assert np.array_equal(raw_scores(lower(chains(length=60)), X), expected)
