"""Neutralization is numerai-tools', solved once an era."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from numerai_tools.scoring import neutralize as numerai_neutralize

from bundle_core.runtime.neutralization import cholesky, filled_design, gram, neutralize

ROWS = 1500
ALL = [np.arange(ROWS)]
RANDOM = np.random.default_rng(5)
FEATURES = RANDOM.integers(0, 5, (ROWS, 40)).astype(np.float64)
SCORES = 0.5 + 0.01 * FEATURES[:, :3].sum(axis=1) + 0.05 * RANDOM.random(ROWS)


def numerai(scores: npt.NDArray[np.float64], columns: npt.NDArray[np.float64], share: float) -> npt.NDArray[np.float64]:
    return numerai_neutralize(pd.DataFrame({"p": scores}), pd.DataFrame(columns), share)["p"].to_numpy()


@pytest.mark.parametrize("proportion", [1.0, 0.5, 0.0])
@pytest.mark.parametrize("columns", [FEATURES, RANDOM.standard_normal((ROWS, 5)), FEATURES * 0.25])
def test_equals_numerai_tools(columns: npt.NDArray[np.float64], proportion: float) -> None:
    assert np.abs(neutralize(SCORES, columns, ALL, proportion) - numerai(SCORES, columns, proportion)).max() < 1e-12


def test_columns_that_depend_on_each_other_do_not_change_the_fit() -> None:
    doubled = np.column_stack([FEATURES, FEATURES[:, :5], FEATURES[:, 0] + FEATURES[:, 1], np.full(ROWS, 3.0)])
    assert np.abs(neutralize(SCORES, doubled, ALL, 1.0) - numerai(SCORES, FEATURES, 1.0)).max() < 1e-12


def test_a_column_that_the_ones_before_it_explain_is_left_out() -> None:
    design = filled_design(np.column_stack([FEATURES[:, :9], FEATURES[:, 2] - FEATURES[:, 5], FEATURES[:, 9:]]) / 7)
    _, kept = cholesky(gram(design))
    assert kept.tolist() == [*range(10), *range(11, 42)]


def test_nearly_dependent_columns_are_solved_as_exactly() -> None:
    close = np.column_stack([FEATURES, FEATURES[:, 0] + 1e-4 * RANDOM.standard_normal(ROWS)])
    assert np.abs(neutralize(SCORES, close, ALL, 1.0) - numerai(SCORES, close, 1.0)).max() < 1e-12


def test_each_era_is_fitted_alone() -> None:
    eras = [np.arange(0, ROWS, 2), np.arange(1, ROWS, 2)]
    neutral = neutralize(SCORES, FEATURES, eras, 1.0)
    for rows in eras:
        assert np.abs(neutral[rows] - numerai(SCORES[rows], FEATURES[rows], 1.0)).max() < 1e-12


def test_what_is_left_is_uncorrelated_with_every_column() -> None:
    neutral = neutralize(SCORES, FEATURES, ALL, 1.0)
    assert np.abs(FEATURES.T @ neutral).max() < 1e-9
    assert abs(neutral.sum()) < 1e-9


def test_nan_in_a_column_counts_as_its_mean() -> None:
    holes, filled = FEATURES.copy(), FEATURES.copy()
    holes[::7, 3] = np.nan
    filled[::7, 3] = np.nanmean(holes[:, 3])
    assert np.array_equal(neutralize(SCORES, holes, ALL, 1.0), neutralize(SCORES, filled, ALL, 1.0))


def test_nan_scores_stay_nan_and_are_not_fitted() -> None:
    scores = SCORES.copy()
    scores[:100] = np.nan
    neutral = neutralize(scores, FEATURES, ALL, 1.0)
    assert np.isnan(neutral[:100]).all()
    assert np.abs(neutral[100:] - numerai(SCORES[100:], FEATURES[100:], 1.0)).max() < 1e-12


def test_constant_scores_and_one_row_eras_keep_their_share() -> None:
    constant = neutralize(np.full(ROWS, 0.4), FEATURES, ALL, 0.75)
    assert np.array_equal(constant, np.full(ROWS, 0.25 * 0.4))
    assert neutralize(np.array([0.4]), FEATURES[:1], [np.arange(1)], 1.0).tolist() == [0.0]
