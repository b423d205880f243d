"""What the random cases of all libraries share: values to train on, frames to score, and the comparison of scores."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from bundle_core.ir import Model, TreeEnsemble
from bundle_core.lowering import lower
from bundle_core.runtime.evaluate import raw_scores

FEATURES = 5
Score = Callable[[Any], Any]


def training_values(rng: np.random.Generator, rows: int) -> np.ndarray:
    """(rows, FEATURES) float64: five-valued, continuous, or some columns of each."""
    small = rng.integers(0, 5, (rows, FEATURES)).astype(np.float64)
    continuous = rng.normal(size=(rows, FEATURES)) * 2
    return np.where(rng.random(FEATURES) < rng.choice([0, 0.5, 1]), small, continuous)


def target(rng: np.random.Generator, X: np.ndarray) -> np.ndarray:
    """(rows,) in [0, 1]."""
    y = np.nan_to_num(X[:, 0]) - np.nan_to_num(X[:, 1]) * (X[:, 2] > 1) + rng.normal(size=len(X))
    return (y - y.min()) / (y.max() - y.min())


def frames(
    rng: np.random.Generator, X: np.ndarray, model: Model, *, missing: bool, infinite: bool, whole: list[int]
) -> Iterator[np.ndarray]:
    """Frames of several dtypes, orders and lengths: seen values, the thresholds and their neighbours, unseen values.

    The columns `whole` hold categories: they get unknown ones too, but none that the library refuses.
    """
    assert isinstance(model, TreeEnsemble)
    rows = np.tile(X, (1 + 400 // len(X), 1))[:400].copy()
    numeric = model.threshold[(model.flags & 4) == 0]
    cuts = numeric[np.isfinite(numeric)] if len(numeric) else np.zeros(1)
    picked = rng.choice(cuts, rows.shape)
    near = rng.choice([picked, np.nextafter(picked, np.inf), np.nextafter(picked, -np.inf), np.float32(picked)])
    unseen = rng.choice([-7.0, -0.5, 0.0, 0.5, 1.5, 1e-40, 77.0, 1e9], rows.shape)
    which = rng.random(rows.shape)
    rows = np.where(which < 0.3, near, np.where(which < 0.5, unseen, rows))
    for column in whole:
        seen = np.unique(X[:, column])
        rows[:, column] = rng.choice([*seen[~np.isnan(seen)], 90.0, 1e9, -1.0, -0.5, 3.5], len(rows))
    if infinite:
        free = [column for column in range(FEATURES) if column not in whole]
        rows[np.ix_(rng.choice(len(rows), 20), free)] = rng.choice([np.inf, -np.inf], (20, len(free)))
    if missing:
        rows[rng.random(rows.shape) < 0.1] = np.nan
    for length in (400, 1, 63, 64, 65):
        yield rows[:length]
    yield np.asfortranarray(rows)
    with np.errstate(over="ignore"):
        yield rows.astype(np.float32)
    small = rng.integers(0, 6, rows.shape)
    yield small.astype(np.int8)
    yield np.asfortranarray(small.astype(np.uint8))
    yield np.where(np.isin(np.arange(FEATURES), whole), small, small - 3).astype(np.int8)


def differences(label: object, model: Model, scored: Iterator[np.ndarray], native: Score) -> list[str]:
    """One line a frame whose raw scores are not the library's, to the last bit and in its dtype."""
    lowered = lower(model)
    found: list[str] = []
    for X in scored:
        ours, theirs = raw_scores(lowered, X), native(X)
        if ours.dtype != theirs.dtype or not np.array_equal(ours, theirs):
            unlike = np.count_nonzero(ours != theirs)
            found.append(f"{label} {X.dtype}{X.shape}: {unlike} differ, {ours.dtype} for {theirs.dtype}")
    return found


def run(differences_of: Callable[[int], list[str]]) -> None:
    """The main function of a module of cases: `python CASES.py COUNT` exits with 1 if any case differs."""
    lines = [line for seed in range(int(sys.argv[1])) for line in differences_of(seed)]
    print(*lines, sep="\n")
    sys.exit(bool(lines))
