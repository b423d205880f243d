"""Ranks are those of pandas and numerai-tools, to the last bit."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from numerai_tools.scoring import gaussian, tie_broken_rank, tie_kept_rank

from bundle_core.runtime.live import row_groups
from bundle_core.runtime.ranking import gaussianize, rank

SCORES = np.round(np.random.default_rng(3).random(5000), 2)
SERIES = pd.Series(SCORES, index=pd.Index([f"n{i:05d}" for i in range(5000)], name="id"))
ALL = [np.arange(5000)]


@pytest.mark.parametrize("method", ["average", "min", "max", "first", "dense"])
def test_ranks_equal_pandas_percentiles(method: str) -> None:
    scores = np.append(SCORES, [np.nan, 0.5, np.nan, -0.0, 0.0])
    expected = pd.Series(scores).rank(method=method, pct=True).to_numpy()  # pyright: ignore[reportArgumentType]
    assert np.array_equal(rank(scores, [np.arange(len(scores))], method, False), expected, equal_nan=True)


@pytest.mark.parametrize("method", ["average", "first"])
def test_ranks_within_eras_equal_a_pandas_groupby(method: str) -> None:
    eras = np.random.default_rng(4).integers(0, 7, 5000).astype(str)
    expected = SERIES.groupby(eras).rank(method=method, pct=True).to_numpy()  # pyright: ignore[reportArgumentType]
    groups = row_groups(pd.DataFrame({"era": eras}), "era")
    assert np.array_equal(rank(SCORES, groups, method, False), expected)


def test_centered_ranks_equal_numerai_tools() -> None:
    frame = SERIES.to_frame("prediction")
    assert np.array_equal(rank(SCORES, ALL, "average", True), tie_kept_rank(frame)["prediction"].to_numpy())
    assert np.array_equal(rank(SCORES, ALL, "first", True), tie_broken_rank(frame)["prediction"].to_numpy())


def test_gaussianized_scores_equal_numerai_tools_but_for_rounding() -> None:
    """scipy's ppf and the standard library's inv_cdf are different rational approximations of one function."""
    expected = gaussian(tie_kept_rank(SERIES.to_frame("prediction")))["prediction"].to_numpy()
    assert np.abs(gaussianize(SCORES, ALL) - expected).max() < 1e-12


def test_all_nan_scores_stay_nan() -> None:
    assert np.isnan(rank(np.full(4, np.nan), [np.arange(4)], "average", False)).all()


def test_a_one_row_era_ranks_one_or_centered_one_half() -> None:
    groups = row_groups(pd.DataFrame({"era": ["1", "2", "2"]}), "era")
    assert rank(np.array([0.3, 0.1, 0.2]), groups, "average", False).tolist() == [1.0, 0.5, 1.0]
    assert rank(np.array([0.3, 0.1, 0.2]), groups, "average", True).tolist() == [0.5, 0.25, 0.75]


def test_rows_without_an_era_are_an_era_of_their_own() -> None:
    groups = row_groups(pd.DataFrame({"era": ["1", None, "1", None]}), "era")
    assert [group.tolist() for group in groups] == [[0, 2], [1, 3]]


def test_a_missing_era_column_is_named() -> None:
    with pytest.raises(ValueError, match="no column 'era'"):
        row_groups(pd.DataFrame({"feature_a": [1]}), "era")
