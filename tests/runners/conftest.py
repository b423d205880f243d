"""Pickles of every kind, live data, and a look at what runs leave behind."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from server.runners.owner import PREFIX
from server.runners.types import DockerImage, Limits, RunRequest

MODELS = """
import sys
from pathlib import Path

import cloudpickle
import numpy as np
import pandas as pd

folder = Path(sys.argv[1])
ids = pd.Index([f"n{row:06}" for row in range(200)], name="id")
random = np.random.default_rng(1)
names = [f"feature_{number}" for number in range(5)]
live = pd.DataFrame(random.integers(0, 5, (200, 5), dtype=np.int8), columns=names, index=ids)
live["era"] = "X"
live.to_parquet(folder / "live.parquet")
pd.DataFrame({"era": "X", "v52_lgbm_ender20": random.random(200)}, index=ids).to_parquet(folder / "benchmarks.parquet")


def good(live_features, live_benchmark_models):
    return live_features[["feature_0"]].rank(pct=True).rename(columns={"feature_0": "prediction"})


def one_parameter(live_features):
    return live_features[["feature_0"]].rank(pct=True)


def raw_scores(live_features):
    return live_features[["feature_0"]] - 2.0


def nothing(live_features):
    pass


def series(live_features):
    return live_features["feature_0"].rank(pct=True)


def no_rows(live_features):
    return live_features[["feature_0"]].iloc[:0]


def nan(live_features):
    return live_features[["feature_0"]] * float("nan")


def text_column(live_features):
    return live_features[["era"]]


def three_parameters(live_features, live_benchmark_models, more):
    return live_features


def raises(live_features):
    return live_features[["feature_of_another_version"]]


def memory(live_features):
    import numpy

    blocks = [numpy.ones(5_000_000) for _ in range(100)]
    return live_features[["feature_0"]] * 0.1 * len(blocks)


def some_memory(live_features):
    import numpy

    return live_features[["feature_0"]] * 0.1 * numpy.ones(25_000_000)[0]


def forever(live_features):
    while True:
        pass


def segfault(live_features):
    import ctypes

    ctypes.string_at(0)


def network(live_features):
    import urllib.request

    urllib.request.urlopen("https://example.org")


def leaves(live_features):
    import sys

    sys.exit(0)


def writes(live_features):
    open("/written-by-a-model", "w")


def links(live_features, live_benchmark_models):
    import os

    os.symlink("/etc/hostname", "/numerai-pickle-mcp/output/live_predictions-00.csv")
    os._exit(0)


def shows_environment(live_features):
    import os

    raise ValueError(dict(os.environ))


def floods(live_features):
    for number in range(200_000):
        print("a line of a log that never ends", number)
    return live_features[["feature_0"]].rank(pct=True)


for function in list(globals().values()):
    if callable(function) and getattr(function, "__module__", "") == "__main__":
        (folder / f"{function.__name__}.pkl").write_bytes(cloudpickle.dumps(function))
(folder / "a_list.pkl").write_bytes(cloudpickle.dumps([1, 2]))
(folder / "no_pickle.pkl").write_bytes(b"<html>not found</html>")
"""


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory, image_python: Callable[..., Path]) -> Callable[[str], Path]:
    """`models("3.12")`: a folder with live.parquet, benchmarks.parquet and NAME.pkl of each model, by that Python."""
    made: dict[str, Path] = {}

    def make(minor: str) -> Path:
        if minor not in made:
            made[minor] = tmp_path_factory.mktemp(f"models{minor}")
            subprocess.run([image_python(minor), "-c", MODELS, made[minor]], check=True)
        return made[minor]

    return make


@pytest.fixture
def request_for(models: Callable[[str], Path], tmp_path: Path) -> Callable[..., RunRequest]:
    """`request_for("good", built_with="3.12", memory_mb=500)`."""

    def make(model: str, *, built_with: str = "3.12", timeout: float = 60, memory_mb: int = 1024) -> RunRequest:
        folder = models(built_with)
        return RunRequest(
            pickle_path=folder / f"{model}.pkl",
            dataset=folder / "live.parquet",
            benchmarks=folder / "benchmarks.parquet",
            output_dir=tmp_path,
            limits=Limits(timeout_seconds=timeout, memory_mb=memory_mb),
        )

    return make


@pytest.fixture
def temporary(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder in which temporary files are made during the test."""
    import tempfile

    folder = tmp_path_factory.mktemp("temporary")
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@pytest.fixture(scope="session")
def image() -> Callable[[str], DockerImage]:
    """`image("3.12")`: Numerai's image of that Python."""
    return lambda minor: DockerImage(None, minor, f"numerai_predict_py_{minor.replace('.', '_')}", "a78dedd")


@pytest.fixture(scope="session")
def containers() -> Callable[..., list[str]]:
    """`containers(pid)`: the names of all containers of this process, or of another one, running or not."""

    def names(pid: int = os.getpid()) -> list[str]:
        command = ["docker", "ps", "-a", "--filter", f"name={PREFIX}-{pid}", "--format", "{{.Names}}"]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()

    return names
