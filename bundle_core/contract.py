"""What Numerai demands of predictions: by `predict.py` in the image, and by the submission after it.

`predict.py` checks the type, that there are rows, NaN in any column and the range of the first column; it does not look
at names, ids or spread, so that a submission fails later. Here all of it is checked at once.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import pandas as pd

from bundle_core.reports import Finding

_PREDICT = "numerai-predict predict.py"
_HEADERS = "numerai-tools submissions.py _validate_headers"
_IDS = "numerai-tools submissions.py _validate_ids"
_VALUES = "numerai-tools submissions.py validate_values"


def check(predictions: object, live_index: pd.Index) -> list[Finding]:
    """Findings about what predict returned for the live rows `live_index`; none means that both sides accept it.

    Stops at a wrong type or an empty frame; otherwise every rule is looked at.
    """
    if type(predictions) is not pd.DataFrame:
        return wrong_type(f"{type(predictions).__module__}.{type(predictions).__qualname__}")
    if not len(predictions):
        return [_refused("no_rows", "predict returned no rows", "", "Return one row for each live row.")]
    return [*_columns(predictions), *_values(predictions), *_ids(predictions, live_index)]


def wrong_type(kind: str) -> list[Finding]:
    """The finding for a result of another type, "pandas.core.series.Series"."""
    if kind == "builtins.NoneType":
        return [_refused("no_result", "predict returned None", "", "Return the DataFrame of predictions.")]
    return [
        _refused(
            "wrong_type",
            "predict did not return a pandas DataFrame; a subclass is refused too",
            kind,
            'Return pd.DataFrame({"prediction": scores}, index=live_features.index).',
        )
    ]


def _columns(predictions: pd.DataFrame) -> list[Finding]:
    found: list[Finding] = []
    names = [str(name) for name in predictions.columns]
    if len(names) != 1 or names[0] not in ("prediction", "probability"):
        found.append(
            _later(
                "columns",
                "a submission has the column 'prediction' and no other",
                f"columns {names[:5]}",
                'Return one column named "prediction", ids in the index.',
                _HEADERS,
            )
        )
    if predictions.index.name != "id":
        found.append(
            _later(
                "index_name",
                "the index must be named 'id': the CSV's first header is the index's name",
                f"index name {predictions.index.name!r}",
                "Use live_features.index as the index.",
                _HEADERS,
            )
        )
    return found


def _values(predictions: pd.DataFrame) -> list[Finding]:
    found: list[Finding] = []
    unknown = predictions.isna()
    if bool(unknown.to_numpy().any()):
        rows = int(unknown.any(axis=1).sum())
        found.append(
            _refused("nan", "predictions hold NaN", f"{rows} of {len(predictions)} rows", "Impute before the model.")
        )
    if not predictions.shape[1]:
        return found
    first: Any = predictions.iloc[:, 0]
    if not pd.api.types.is_numeric_dtype(first.dtype) or pd.api.types.is_complex_dtype(first.dtype):
        found.append(
            _refused(
                "not_numeric",
                "the first column is not numeric",
                f"dtype {first.dtype}",
                "The first column must be the prediction; ids belong into the index.",
            )
        )
        return found
    values = first.to_numpy(dtype=np.float64, na_value=np.nan)
    known = values[~np.isnan(values)]
    if len(known) and not 0 <= known.min() <= known.max() <= 1:
        found.append(
            _refused(
                "range",
                "predictions must lie between 0 and 1",
                f"from {known.min():g} to {known.max():g}",
                'Rank them: pipeline {"rank": "all"}, or rank(pct=True).',
            )
        )
    # The submission's rule is np.isclose(0, std), which is std <= 1e-8.
    if len(known) > 1 and np.isfinite(known).all() and np.std(known, ddof=1) <= 1e-8:
        found.append(
            _later(
                "constant",
                "a submission must not be constant",
                f"all {len(known)} predictions are about {known[0]:g}",
                "Look at the features: all missing or all imputed rows get one score.",
                _VALUES,
            )
        )
    return found


def _ids(predictions: pd.DataFrame, live_index: pd.Index) -> list[Finding]:
    index = predictions.index
    if index.equals(live_index):
        return []
    found: list[Finding] = []
    twice = index[index.duplicated()]
    missing = live_index.difference(index)
    foreign = index.difference(live_index)
    if len(twice):
        found.append(
            _later("duplicate_ids", "an id occurs more than once", _some(twice), "Return each live row once.", _IDS)
        )
    if len(missing):
        found.append(
            _later(
                "missing_ids",
                "live rows have no prediction; all live ids are required",
                f"{len(missing)} of {len(live_index)}: {_some(missing)}",
                "Drop no rows and use live_features.index as the index.",
                _IDS,
            )
        )
    if len(foreign):
        found.append(
            Finding(
                "foreign_ids",
                "warning",
                "nobody",
                "predictions have ids that are not live; they are left out",
                f"{len(foreign)}: {_some(foreign)}",
                "Use live_features.index as the index.",
                _IDS,
            )
        )
    if not found:
        found.append(
            Finding(
                "row_order",
                "warning",
                "nobody",
                "the rows stand in another order than live_features",
                f"first is {index[0]!r}, live_features starts with {live_index[0]!r}",
                "Accepted, as ids are matched; make sure that each id has its own score.",
                _IDS,
            )
        )
    return found


def _some(ids: pd.Index) -> str:
    return ", ".join(repr(value) for value in ids[:3])


def _refused(id: str, cause: str, evidence: str, next_step: str) -> Finding:
    return _finding(id, "predict.py", cause, evidence, next_step, _PREDICT)


def _later(id: str, cause: str, evidence: str, next_step: str, source: str) -> Finding:
    return _finding(id, "submission", cause, evidence, next_step, source)


def _finding(
    id: str, by: Literal["predict.py", "submission"], cause: str, evidence: str, next_step: str, source: str
) -> Finding:
    return Finding(id, "refused", by, cause, evidence, next_step, source)
