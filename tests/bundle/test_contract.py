"""The contract is stricter than predict.py: what the submission refuses later is found here."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from numerai_tools.submissions import validate_submission_numerai

from bundle_core.contract import check

LIVE = pd.Index([f"n{i:015x}" for i in range(50)], name="id")
GOOD = pd.DataFrame({"prediction": np.linspace(0.01, 0.99, 50)}, index=LIVE)


class OwnFrame(pd.DataFrame):
    """A subclass, which predict.py refuses as its check is for the exact type."""


def found(predictions: object) -> dict[str, str]:
    return {finding.id: finding.refused_by for finding in check(predictions, LIVE)}


def test_good_predictions_have_no_finding() -> None:
    assert found(GOOD) == {}
    assert found(GOOD.assign(prediction=np.linspace(0, 1, 50))) == {}


@pytest.mark.parametrize(
    ("predictions", "expected"),
    [
        (None, {"no_result": "predict.py"}),
        (GOOD["prediction"], {"wrong_type": "predict.py"}),
        (GOOD.to_numpy(), {"wrong_type": "predict.py"}),
        (OwnFrame(GOOD), {"wrong_type": "predict.py"}),
        (GOOD.head(0), {"no_rows": "predict.py"}),
        (GOOD.assign(prediction=GOOD["prediction"].where(GOOD["prediction"] < 0.9)), {"nan": "predict.py"}),
        (GOOD.assign(prediction=np.nan), {"nan": "predict.py"}),
        (GOOD.assign(other=np.nan), {"nan": "predict.py", "columns": "submission"}),
        (GOOD * 3 - 1, {"range": "predict.py"}),
        (GOOD.assign(prediction=[np.inf, *GOOD["prediction"][1:]]), {"range": "predict.py"}),
        (GOOD.assign(prediction="0.5"), {"not_numeric": "predict.py"}),
        (GOOD.rename(columns={"prediction": "target"}), {"columns": "submission"}),
        (GOOD.assign(other=0.5), {"columns": "submission"}),
        (GOOD.rename_axis(None), {"index_name": "submission"}),
        (
            GOOD.reset_index(drop=True),
            {"index_name": "submission", "missing_ids": "submission", "foreign_ids": "nobody"},
        ),
        (GOOD.head(49), {"missing_ids": "submission"}),
        (pd.concat([GOOD, GOOD.head(1)]), {"duplicate_ids": "submission"}),
        (GOOD.assign(prediction=0.5), {"constant": "submission"}),
        (GOOD.assign(prediction=0.5 + np.arange(50) * 1e-12), {"constant": "submission"}),
        (GOOD[::-1], {"row_order": "nobody"}),
    ],
)
def test_each_rule_is_found_with_who_refuses_it(predictions: Any, expected: dict[str, str]) -> None:
    assert found(predictions) == expected


@pytest.mark.parametrize(
    "predictions",
    [
        GOOD,
        GOOD.assign(prediction=np.linspace(0, 1, 50)),
        GOOD.rename(columns={"prediction": "probability"}),
        GOOD.rename(columns={"prediction": "target"}),
        GOOD.assign(other=0.5),
        GOOD.rename_axis(None),
        GOOD.head(49),
        pd.concat([GOOD, GOOD.head(1)]),
        GOOD.assign(prediction=0.5),
        GOOD.assign(prediction=0.5 + np.arange(50) * 1e-9),
        GOOD.assign(prediction=0.5 + np.arange(50) * 1e-12),
        GOOD[::-1],
        pd.concat([GOOD, pd.DataFrame({"prediction": [0.3]}, index=pd.Index(["nffff"], name="id"))]),
    ],
)
def test_the_submissions_rules_are_those_of_numerai_tools(predictions: pd.DataFrame) -> None:
    csv = predictions.reset_index()
    try:
        validate_submission_numerai(pd.Series(LIVE), csv)
        refused = False
    except AssertionError:
        refused = True
    assert ("submission" in found(predictions).values()) == refused


def test_every_finding_tells_cause_next_step_and_source() -> None:
    for finding in check(GOOD.reset_index(drop=True).assign(prediction=7.0, other=1.0), LIVE):
        assert finding.cause
        assert finding.next_step
        assert finding.source
