"""One run of a packed pickle as the image would do it: contract, time and memory."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bundle_core import contract, synthetic
from bundle_core.frames import read_frame, read_sample
from bundle_core.reports import CheckReport, CheckRequest, Finding
from bundle_core.run_rows import columns_needed

_ONE_CPU = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


def check(request: CheckRequest) -> CheckReport:
    """Run the pickle twice in one fresh child: on the sample for the contract, then on `rows` rows for the figures.

    A pickle that fails is a report, not an error. Raises DataInvalid for an unreadable sample.
    """
    live, benchmarks = _data(request)
    with tempfile.TemporaryDirectory(prefix="check-") as folder:
        result, predictions = _measure(Path(request.pickle_path), live, benchmarks, request.rows, Path(folder))
    failure = result.get("failure")
    findings: list[Finding] = []
    if failure is None:
        findings = (
            contract.wrong_type(result["type"]) if predictions is None else contract.check(predictions, live.index)
        )
    values = _scores(predictions)
    if request.output is not None and predictions is not None:
        predictions.to_csv(request.output)
    return CheckReport(
        data="synthetic" if request.sample is None else "sample",
        rows=len(live),
        failure=failure,
        traceback=result.get("traceback"),
        contract=findings,
        timed_rows=request.rows,
        load_seconds=result.get("load_seconds"),
        predict_seconds=result.get("predict_seconds") if failure is None else None,
        peak_memory_mb=result.get("peak_memory_mb") if failure is None else None,
        minimum=float(values.min()) if len(values) else None,
        maximum=float(values.max()) if len(values) else None,
        histogram=np.histogram(values, bins=20, range=(0.0, 1.0))[0].tolist() if len(values) else [],
        predictions_path=request.output if predictions is not None else None,
    )


def _data(request: CheckRequest) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The sample and its benchmarks; what is not given is synthetic, with the columns that the pickle reads."""
    features, columns = columns_needed(Path(request.pickle_path), request.bundle_path)
    features, columns = request.features or features, request.benchmark_columns or columns
    if request.sample is None:
        return (
            synthetic.live_features(features, request.rows),
            synthetic.live_benchmark_models(columns, request.rows),
        )
    live = read_sample(Path(request.sample))
    if request.benchmarks is not None:
        return live, read_frame(Path(request.benchmarks))
    return live, synthetic.benchmarks_of(live, columns)


def _measure(
    pickle_path: Path, live: pd.DataFrame, benchmarks: pd.DataFrame, rows: int, folder: Path
) -> tuple[dict[str, Any], pd.DataFrame | None]:
    """What `measured_run` says, and the predictions if they are a DataFrame."""
    runs = [(live, benchmarks)]
    if len(live) != rows:
        rounds = -(-rows // len(live))
        runs.append((repeated(live, rounds).head(rows), repeated(benchmarks, rounds)))
    paths: list[list[str]] = []
    for i, (features, models) in enumerate(runs):
        paths.append([str(folder / f"features{i}.pkl"), str(folder / f"benchmarks{i}.pkl")])
        features.to_pickle(paths[-1][0])
        models.to_pickle(paths[-1][1])
    request = {"pickle": str(pickle_path), "runs": paths, "output": str(folder)}
    source = files("bundle_core").joinpath("measured_run.py").read_text(encoding="utf-8")
    # Isolated: neither bundle_core nor the user's folder can be imported, as in the image.
    done = subprocess.run(
        [sys.executable, "-I", "-c", source],
        input=json.dumps(request),
        text=True,
        capture_output=True,
        check=False,
        cwd=folder,
        env={**os.environ, **_ONE_CPU},
    )
    result_path = folder / "result.json"
    if not result_path.exists():
        return {"failure": _death(done.returncode), "traceback": done.stderr[-4000:]}, None
    kept = folder / "predictions.pkl"
    return json.loads(result_path.read_text(encoding="utf-8")), pd.read_pickle(kept) if kept.exists() else None


def repeated(frame: pd.DataFrame, rounds: int) -> pd.DataFrame:
    """The frame's rows `rounds` times, each time with ids of its own."""
    copies = [frame.set_axis(pd.Index([f"{id}-{i}" for id in frame.index], name="id")) for i in range(1, rounds)]
    return pd.concat([frame, *copies])


def _scores(predictions: pd.DataFrame | None) -> np.ndarray[Any, np.dtype[np.float64]]:
    """The finite values of the first column; none where it holds no numbers."""
    if predictions is None or not predictions.shape[1] or not pd.api.types.is_numeric_dtype(predictions.dtypes.iloc[0]):
        return np.zeros(0)
    values = predictions.iloc[:, 0].to_numpy(dtype=np.float64, na_value=np.nan)
    return values[np.isfinite(values)]


def _death(code: int) -> str:
    if code < 0:
        return f"Python died with {signal.Signals(-code).name}: the pickle was made by another Python or numpy"
    return f"Python ended with exit code {code} and no result"
