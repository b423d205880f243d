"""The table of evidence: failures that really happen, and the diagnosis that each must get.

`python -m tests.diagnosis.table` runs it and prints the share that is diagnosed right.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import anyio
import pandas as pd

from bundle_core import contract
from bundle_core.fingerprint import read
from server.diagnosis import Diagnosis, Evidence, Finding, diagnose, judge
from server.runners.container import run_in_container
from server.runners.pins import Pins
from server.runners.types import DockerImage, Limits, RunReport, RunRequest
from server.runners.venv_run import run_in_venv
from tests.conftest import RUNTIMES, make_test_venv, missing

Interpreters = Callable[..., Path]

GOOD = """
def predict(live_features, live_benchmark_models):
    return live_features[["feature_one"]].rank(pct=True).rename(columns={"feature_one": "prediction"})
"""
BODY = "def predict(live_features, live_benchmark_models):\n    "
RESULT = 'live_features[["feature_one"]].rank(pct=True).rename(columns={"feature_one": "prediction"})'
WRITE = "\nimport cloudpickle\nwith open(path, 'wb') as file:\n    cloudpickle.dump(predict, file)\n"


LIMITS = Limits(timeout_seconds=60)


@dataclass(frozen=True)
class Case:
    """`script` defines predict, or writes the file `path` itself; it runs in `built_on`, its pickle in `run_on`."""

    name: str
    expected: str | None
    """The id of the diagnosis; None where the run must be fine."""
    script: str = GOOD
    built_on: tuple[str, ...] = ("3.12",)
    """The minor, and packages beside the base set."""
    run_on: tuple[str, ...] = ("3.12",)
    write: str = WRITE
    container: bool = False
    limits: Limits = LIMITS

    @property
    def requirements(self) -> tuple[str, ...]:
        """What the machine must have, as `requires` names it."""
        pythons = {f"python:{self.built_on[0]}", f"python:{self.run_on[0]}"}
        return (*sorted(pythons), *(("docker", f"image:{self.run_on[0]}") if self.container else ()))


def _body(name: str, expected: str | None, *lines: str, **more: object) -> Case:
    return Case(name, expected, BODY + "\n    ".join(lines) + "\n", **more)  # pyright: ignore[reportArgumentType]


def _writes(name: str, expected: str, script: str, **more: object) -> Case:
    return Case(name, expected, script, write="", **more)  # pyright: ignore[reportArgumentType]


MINORS = ("3.10", "3.11", "3.12", "3.13")
RICH = """
import numpy as np
import pandas as pd
WEIGHTS = {"feature_one": 0.25, "feature_two": 0.75}

def rank(frame):
    return frame.rank(pct=True)

def predict(live_features, live_benchmark_models):
    total = sum(weight * live_features[name].astype("float64") for name, weight in WEIGHTS.items())
    try:
        blended = total + live_benchmark_models["v52_lgbm_ender20"].reindex(live_features.index).fillna(0.5)
    except KeyError as error:
        raise ValueError(f"no benchmark: {error}") from error
    return pd.DataFrame({"prediction": rank(blended)}, index=live_features.index)
"""
SIMPLE = """
import numpy as np
import pandas as pd

def predict(live_features, live_benchmark_models):
    scores = np.linspace(0.1, 0.9, len(live_features))
    return pd.DataFrame({"prediction": scores}, index=live_features.index)
"""
WRONG_PYTHON = [
    *(
        Case(f"{built} on {run}", None if built == run else "wrong_python", RICH, (built,), (run,))
        for built in MINORS
        for run in MINORS
    ),
    Case("3.11 on 3.12, misread operands", "wrong_python", SIMPLE, ("3.11",), ("3.12",)),
    Case("3.12 on 3.11, misread operands", "wrong_python", SIMPLE, ("3.12",), ("3.11",)),
]
LIGHTGBM = """
import lightgbm, numpy
FIT = lightgbm.LGBMRegressor(n_estimators=2, min_child_samples=1, verbose=-1)
FIT.fit(numpy.arange(40.0).reshape(20, 2), numpy.arange(20.0))
"""
LOAD = [
    Case(
        "protocol 2 is no remedy",
        "wrong_python",
        RICH,
        ("3.11",),
        ("3.12",),
        WRITE.replace("file)", "file, protocol=2)"),
    ),
    Case("cloudpickle 3 on the 3.10 image", "cloudpickle_too_new", GOOD, ("3.10", "cloudpickle==3.1.1"), ("3.10",)),
    _writes(
        "arrays of numpy 2 on numpy 1",
        "numpy_major",
        "import pickle, numpy\npickle.dump(numpy.arange(3.0), open(path, 'wb'), protocol=5)\n",
        run_on=("3.10",),
    ),
    _writes(
        "a random generator of numpy 2 on numpy 1",
        "numpy_random_state",
        "import pickle, numpy\npickle.dump(numpy.random.default_rng(0), open(path, 'wb'), protocol=4)\n",
        run_on=("3.10",),
    ),
    Case(
        "a module of one's own",
        "own_module_missing",
        "import sys\nfrom pathlib import Path\nsys.path.insert(0, str(Path(path).parent))\n"
        "Path(path).with_name('agents.py').write_text('def rank(x):\\n    return x')\nimport agents\n"
        + BODY
        + "return agents.rank(live_features)\n",
    ),
    _writes(
        "a function by name of the script",
        "main_reference",
        GOOD + "import pickle\npickle.dump(predict, open(path, 'wb'))\n",
    ),
    _body(
        "a missing package in predict",
        "package_missing_in_predict",
        "import missing_package",
        "return missing_package.f()",
    ),
    _writes(
        "joblib.dump",
        "not_a_pickle",
        "import joblib, numpy\njoblib.dump({'w': numpy.arange(300.0)}, path)\n",
        built_on=("3.12", "joblib"),
    ),
    _writes(
        "a truncated file",
        "not_a_pickle",
        "import pickle\nopen(path, 'wb').write(pickle.dumps(list(range(99)))[:-9])\n",
    ),
    _writes("a web page", "not_a_pickle", "open(path, 'w').write('<!DOCTYPE html><html>Not found</html>')\n"),
    _writes(
        "a compressed file",
        "not_a_pickle",
        "import gzip, pickle\nopen(path, 'wb').write(gzip.compress(pickle.dumps(1)))\n",
    ),
    _writes("an empty file", "not_a_pickle", "open(path, 'wb').close()\n"),
    Case(
        "an Index of pandas 3",
        "pandas_objects",
        'import pandas as pd\npd.set_option("mode.string_storage", "python")\nNAMES = pd.Index(["feature_one"])\n'
        + BODY
        + "return live_features[NAMES]\n",
        ("3.12", "pandas==3.1.1"),
    ),
    Case(
        "a LightGBM 3 model on LightGBM 4",
        "lightgbm_major",
        LIGHTGBM + BODY + "return FIT.predict(live_features[['feature_one', 'feature_two']])\n",
        ("3.10", "lightgbm==3.3.5", "scikit-learn"),
        ("3.10", "lightgbm", "scikit-learn"),
    ),
    _writes("a dict", "not_callable", "import pickle\npickle.dump({'weights': [1.0]}, open(path, 'wb'))\n"),
    _writes(
        "a model",
        "not_callable",
        "import cloudpickle\nclass Model:\n    def predict(self, x):\n        return x\n"
        "cloudpickle.dump(Model(), open(path, 'wb'))\n",
    ),
    Case(
        "three parameters",
        "wrong_arity",
        "def predict(live_features, live_benchmark_models, scale):\n    return live_features\n",
    ),
]
RUN = [
    _body(
        "features of another version",
        "features_of_other_version",
        'return live_features[["feature_one", "feature_gone"]]',
    ),
    _body("one feature of another version", "features_of_other_version", 'return live_features["feature_gone"]'),
    _body(
        "a benchmark of another version", "benchmark_column_renamed", 'return live_benchmark_models["v53_lgbm_ender20"]'
    ),
    _body(
        "benchmarks of another version",
        "benchmark_column_renamed",
        'return live_benchmark_models[["v53_lgbm_ender20"]]',
    ),
    _body("no era", "era_missing", 'return live_features[["feature_one"]].groupby("era").rank()'),
    _body("no era as a column", "era_missing", 'return live_features[["feature_one"]]["era"]'),
    _body(
        "NaN from benchmarks",
        "nan_predictions",
        'return live_benchmark_models[["v52_lgbm_ender20"]].reindex(live_features.index).rank(pct=True)',
    ),
    _body("None", "returned_none", "live_features.sum()"),
    _body("a Series", "returned_wrong_type", 'return live_features["feature_one"].rank(pct=True)'),
    _body("an array", "returned_wrong_type", 'return live_features["feature_one"].rank(pct=True).to_numpy()'),
    _body("no rows", "no_rows", f"return {RESULT}.iloc[:0]"),
    _body("raw scores", "values_out_of_range", f"return {RESULT} * 9"),
    _body("ids as a column", "first_column_is_text", f"return {RESULT}.reset_index()"),
    _body("another column's name", "submission_headers", f'return {RESULT}.rename(columns={{"prediction": "p"}})'),
    _body("an index without a name", "submission_headers", f"return {RESULT}.rename_axis(None)"),
    _body("dropped rows", "submission_ids", f"return {RESULT}.iloc[2:]"),
    _body(
        "doubled rows",
        "submission_ids",
        "import pandas as pd",
        f"result = {RESULT}",
        "return pd.concat([result, result])",
    ),
    _body("a constant", "submission_values", f"return {RESULT} * 0 + 0.5"),
    _body("out of time", "out_of_time", "while True:", "    pass", limits=Limits(timeout_seconds=4)),
    _body(
        "a download", "network_in_predict", "import urllib.request", 'urllib.request.urlopen("http://numer.invalid/x")'
    ),
    _body("sys.exit(0)", "exited_itself", "import sys", "sys.exit(0)"),
    _body("os._exit(0)", "exited_itself", "import os", "os._exit(0)"),
    _body("a crash in C", "segfault_in_library", "import ctypes", "return ctypes.string_at(0)"),
    _body(
        "a full disk",
        "csv_not_written",
        "import pandas as pd",
        "def full(*args, **options):",
        '    raise OSError(28, "No space left on device")',
        "pd.DataFrame.to_csv = full",
        f"return {RESULT}",
    ),
    _body("a package that only the venv lacks", "venv_lacks_package", "import lightgbm", "return lightgbm.Booster()"),
    _body("an exception of one's own", "exception_in_predict", 'raise RuntimeError("no luck")'),
    _body("a TypeError of one's own", "exception_in_predict", "return len(3)"),
    _body("more memory than there is", "out_of_memory", "import numpy as np", "return np.ones((1 << 42,))"),
]
CONTAINER = [
    _body(
        "out of memory in the container",
        "out_of_memory",
        "import numpy as np",
        "return np.ones((1 << 30,)).sum()",
        container=True,
        limits=Limits(timeout_seconds=60, memory_mb=512),
    ),
    _body(
        "no network in the container",
        "network_in_predict",
        "import urllib.request",
        'urllib.request.urlopen("http://127.0.0.1:1/x")',
        container=True,
    ),
    _body("a write in the container", "read_only_files", 'open("/cache.txt", "w")', container=True),
    Case("the segmentation fault of another Python", "wrong_python", RICH, ("3.11",), ("3.12",), container=True),
    _body("sys.exit(0) in the container", "exited_itself", "import sys", "sys.exit(0)", container=True),
    _body(
        "a crash in the container", "segfault_in_library", "import ctypes", "return ctypes.string_at(0)", container=True
    ),
]
SEEN_BEFORE = {
    "wrong_python",
    "cloudpickle_too_new",
    "numpy_major",
    "own_module_missing",
    "main_reference",
    "package_missing_in_predict",
    "not_a_pickle",
    "not_callable",
    "wrong_arity",
}
"""Diagnoses that inspecting the pickle tells before any run."""
CASES = [*WRONG_PYTHON, *LOAD, *RUN, *CONTAINER]


@dataclass(frozen=True)
class Outcome:
    """The first diagnosis, None where the run and its output are fine; and what was said before the run."""

    diagnosis: Diagnosis | None
    warned: tuple[Finding, ...]

    @property
    def must_fail(self) -> bool:
        return any(finding.verdict == "will_fail" for finding in self.warned)


def run_case(case: Case, interpreters: Interpreters, folder: Path) -> Outcome:
    """Build the case's pickle in `folder`, judge it, run it, and diagnose the failure."""
    pickle = folder / "model.pkl"
    script = folder / "build.py"
    script.write_text(f"path = {str(pickle)!r}\n{case.script}{case.write}")
    subprocess.run([interpreters(*case.built_on), script], check=True, capture_output=True)
    _live(folder)
    output = folder / "output"
    output.mkdir()
    request = RunRequest(pickle, folder / "live.parquet", folder / "benchmarks.parquet", output, case.limits)
    report = anyio.run(_run, case, request, interpreters)
    pins = dict(line.split("==") for line in (RUNTIMES / f"py{case.run_on[0]}.txt").read_text().split())
    fingerprint = read(pickle)
    image = DockerImage(None, "", f"numerai_predict_py_{case.run_on[0].replace('.', '_')}", "a78dedd")
    warned = tuple(judge(fingerprint, image, Pins(case.run_on[0], pins, "shipped")))
    refused = []
    if report.predictions_csv is not None:
        predictions = pd.read_csv(report.predictions_csv)
        predictions = predictions.set_index(predictions.columns[0])
        predictions.index.name = None if str(predictions.index.name).startswith("Unnamed") else predictions.index.name
        live = pd.read_parquet(folder / "live.parquet")
        refused = [finding for finding in contract.check(predictions, live.index) if finding.severity == "refused"]
        if not refused:
            return Outcome(None, warned)
    evidence = Evidence(
        log=report.log,
        exit_code=report.exit_code,
        oom_killed=report.oom_killed,
        timed_out=report.timed_out,
        stage="run",
        fingerprint=fingerprint,
        image_python=case.run_on[0],
        pins=pins,
        contract=refused,
        csv_written=report.predictions_csv is not None,
        runner=report.runner,
    )
    return Outcome(diagnose(evidence)[0], warned)


async def _run(case: Case, request: RunRequest, interpreters: Interpreters) -> RunReport:
    if case.container:
        image = DockerImage(None, "", f"numerai_predict_py_{case.run_on[0].replace('.', '_')}", "a78dedd")
        return await run_in_container(request, image)
    return await run_in_venv(request, interpreters(*case.run_on))


def _live(folder: Path) -> None:
    ids = pd.Index([f"n{row:04}" for row in range(40)], name="id")
    features = {"feature_one": [row % 5 for row in range(40)], "feature_two": [row % 3 for row in range(40)]}
    pd.DataFrame({**features, "era": "X"}, index=ids).astype({"feature_one": "int8"}).to_parquet(
        folder / "live.parquet"
    )
    benchmarks = pd.DataFrame({"era": "X", "v52_lgbm_ender20": [row / 40 for row in range(40)]}, index=ids)
    benchmarks.iloc[::-1].iloc[2:].to_parquet(folder / "benchmarks.parquet")


def main() -> None:
    venvs = Path(".pytest_cache/d/venvs").resolve()
    venvs.mkdir(parents=True, exist_ok=True)
    right = ran = 0
    for case in CASES:
        lacking = [reason for what in case.requirements if (reason := missing(what))]
        if lacking:
            print(f"not run  {case.name}: {lacking[0]}")
            continue
        folder = Path(tempfile.mkdtemp())
        try:
            outcome = run_case(case, lambda minor, *packages: make_test_venv(venvs, minor, packages), folder)
        finally:
            shutil.rmtree(folder)
        ran += 1
        ok = is_expected(case, outcome)
        right += ok
        print(
            f"{'right' if ok else 'WRONG':8} {case.name}: {outcome.diagnosis.id if outcome.diagnosis else 'fine'}",
            flush=True,
        )
    print(f"{right} of {ran} diagnosed right ({right / max(ran, 1):.0%})")
    sys.exit(right != ran)


def is_expected(case: Case, outcome: Outcome) -> bool:
    """Whether the diagnosis is the case's."""
    found = outcome.diagnosis
    if found is None or case.expected is None:
        return found is None and case.expected is None
    # Entries of one cause share the beginning of their ids: wrong_python, wrong_python_segfault.
    return found.id.startswith(case.expected)


if __name__ == "__main__":
    main()
