"""The rows of a run where the caller has no files of them, and the verdict on the CSV that came out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from bundle_core import bundle, contract, synthetic
from bundle_core.describe import columns_read, describe
from bundle_core.errors import DataInvalid
from bundle_core.fingerprint import read as read_fingerprint
from bundle_core.frames import read_frame
from bundle_core.reports import RowsReport, RowsRequest, VerdictReport, VerdictRequest


def write_rows(request: RowsRequest) -> RowsReport:
    """Write synthetic live rows and benchmarks for the columns that the bundle, else the pickle, names.

    With `dataset` given, the benchmarks alone, for its ids. Raises DataInvalid for an unreadable dataset.
    """
    features, columns = columns_needed(Path(request.pickle_path), request.bundle_path)
    if request.dataset_output is None:
        live = read_frame(Path(request.dataset or ""))
        benchmarks = synthetic.benchmarks_of(live, columns)
    else:
        live = synthetic.live_features(features, request.rows)
        benchmarks = synthetic.live_benchmark_models(columns, request.rows)
        live.to_parquet(request.dataset_output)
    benchmarks.to_parquet(request.benchmarks_output)
    return RowsReport(len(live), len(features), columns)


def judge_csv(request: VerdictRequest) -> VerdictReport:
    """Read the CSV as the submission does, ids in the first column. Raises DataInvalid where it is no table."""
    try:
        predictions = pd.read_csv(request.predictions_csv, index_col=0)
    except ValueError as error:
        raise DataInvalid("The run's CSV is no table.", evidence=str(error)[:200]) from None
    found = contract.check(predictions, read_frame(Path(request.dataset)).index)
    numeric = predictions.select_dtypes("number")
    values = numeric.iloc[:, 0].to_numpy(np.float64) if numeric.shape[1] else np.zeros(0)
    values = values[np.isfinite(values)]
    return VerdictReport(
        rows=len(predictions),
        contract=found,
        minimum=float(values.min()) if len(values) else None,
        maximum=float(values.max()) if len(values) else None,
        mean=float(values.mean()) if len(values) else None,
        std=float(values.std()) if len(values) else None,
        histogram=np.histogram(values, bins=20, range=(0.0, 1.0))[0].tolist(),
    )


def columns_needed(pickle_path: Path, bundle_path: str | None) -> tuple[list[str], list[str]]:
    """Names of the features and of the benchmarks that the bundle, else the pickle, reads."""
    if bundle_path is not None:
        held = bundle.load(Path(bundle_path))
        columns = describe(held).benchmarks
        return [name for name in columns_read(held) if name not in columns], columns
    fingerprint = read_fingerprint(pickle_path)
    return list(fingerprint.features), list(fingerprint.benchmark_columns)
