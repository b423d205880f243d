"""Runs a pickle in a fresh interpreter that has no bundle_core, and says how long it took and how much memory.

Started with `-c` and this source. Reads `{"pickle", "runs": [[features, benchmarks], ...], "output"}` from stdin, where
the runs are pickled frames; writes `result.json` and the first run's predictions into the folder `output`.
"""

from __future__ import annotations

import json
import sys
import time
import traceback
from pathlib import Path
from typing import Any, cast


def main() -> None:
    request = json.load(sys.stdin)
    # The image has no bundle_core; this interpreter may.
    sys.modules["bundle_core"] = cast(Any, None)
    output = Path(request["output"])
    result: dict[str, Any] = {"stage": "load"}
    try:
        _run(request, output, result)
    except Exception as error:  # noqa: BLE001  the pickle is foreign code: whatever it raises is the result
        result["failure"] = "".join(traceback.format_exception_only(type(error), error)).strip()
        result["traceback"] = traceback.format_exc()[-4000:]
    result["peak_memory_mb"] = peak_memory_mb()
    (output / "result.json").write_text(json.dumps(result), encoding="utf-8")


def _run(request: dict[str, Any], output: Path, result: dict[str, Any]) -> None:
    from inspect import signature

    import pandas as pd

    started = time.perf_counter()
    predict: Any = pd.read_pickle(request["pickle"])
    result["load_seconds"] = time.perf_counter() - started
    if not callable(predict):
        raise TypeError(f"the pickle holds {type(predict).__name__}, not a function")
    parameters = len(signature(predict).parameters)
    if parameters not in (1, 2):
        raise TypeError(f"predict has {parameters} parameters; predict.py calls it with 1 or 2")
    result["stage"] = "predict"
    for number, paths in enumerate(request["runs"]):
        frames = [pd.read_pickle(path) for path in paths[:parameters]]
        started = time.perf_counter()
        predictions = predict(*frames)
        result["predict_seconds"] = time.perf_counter() - started
        if number == 0:
            result["type"] = f"{type(predictions).__module__}.{type(predictions).__qualname__}"
            if type(predictions) is pd.DataFrame:
                predictions.to_pickle(output / "predictions.pkl")
    result["stage"] = "done"


def peak_memory_mb() -> float | None:
    """MiB. Linux tells the peak of this program alone; ru_maxrss would count the parent that it was forked from."""
    status = Path("/proc/self/status")
    if status.exists():
        line = next((line for line in status.read_text().splitlines() if line.startswith("VmHWM:")), None)
        return None if line is None else int(line.split()[1]) / 1024
    try:
        import resource
    except ImportError:
        return None
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)


if __name__ == "__main__":
    main()
