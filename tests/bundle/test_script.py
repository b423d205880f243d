"""A user's own function is packed by value with the modules of the repository, or refused with what would fail."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from bundle_core.errors import PackRefused
from bundle_core.reports import ScriptRequest
from bundle_core.script import pack_script
from bundle_core.typed_json import from_json
from tests.bundle.commands import report
from tests.bundle.small_models import benchmark_frame, live_frame

IMAGE = ["numpy", "pandas", "scipy", "cloudpickle", "python-dateutil"]

REPOSITORY = {
    "weights/a.txt": "0.1 0.05 0.01",
    "mine/__init__.py": "",
    "mine/scoring.py": "import numpy as np\nfrom mine import constants\n\n"
    "def score(frame, weights):\n    return constants.BASE + frame.to_numpy(dtype=np.float64) @ weights\n",
    "mine/constants.py": "BASE = 0.1\n",
    "space/ranks.py": "def rank(scores):\n    return scores.rank(pct=True)\n",
    "deploy.py": """
import numpy as np
import pandas as pd
import space.ranks
from dataclasses import dataclass
from mine.scoring import score

@dataclass
class Model:
    names: list
    weights: np.ndarray

    def __call__(self, frame):
        return score(frame[self.names], self.weights)

model = Model(["feature_a", "feature_b", "feature_c"], np.loadtxt("weights/a.txt"))

def predict(live_features, live_benchmark_models):
    scores = pd.Series(model(live_features), index=live_features.index)
    return space.ranks.rank(scores).to_frame("prediction")

def simple(live_features):
    return (live_features[["feature_a"]] / 4).set_axis(["prediction"], axis=1)

def no_parameters():
    return None

def three(a, b, c=1):
    return None
""",
}


def write(folder: Path, files: dict[str, str]) -> Path:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)
    return folder


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    return write(tmp_path / "repo", REPOSITORY)


def request(repository: Path, script: str = "deploy.py:predict", **more: Any) -> dict[str, Any]:
    return {
        "script": script,
        "output": str(repository / "model.pkl"),
        "base_dir": str(repository),
        "image_packages": IMAGE,
        **more,
    }


def refused(repository: Path, script: str) -> PackRefused:
    before = list(sys.path), Path.cwd()
    with pytest.raises(PackRefused) as refusal:
        pack_script(from_json(ScriptRequest, request(repository, script)))
    assert not {"deploy", "script", "mine", "space"} & set(sys.modules)
    assert (list(sys.path), Path.cwd()) == before
    return refusal.value


def test_a_function_runs_elsewhere_with_its_modules_and_what_it_loaded(repository: Path, tmp_path: Path) -> None:
    packed = report("script", request(repository))
    assert packed["parameters"] == ["live_features", "live_benchmark_models"]
    assert packed["modules_by_value"] == ["deploy", "mine", "mine.constants", "mine.scoring", "space", "space.ranks"]
    assert packed["findings"] == []
    live = live_frame(40)
    live.to_parquet(tmp_path / "live.parquet")
    benchmark_frame(live).to_parquet(tmp_path / "benchmarks.parquet")
    checked = report(
        "check",
        {
            "pickle_path": packed["pack"]["pickle_path"],
            "sample": str(tmp_path / "live.parquet"),
            "benchmarks": str(tmp_path / "benchmarks.parquet"),
            "output": str(tmp_path / "predictions.csv"),
        },
    )
    assert checked["failure"] is None
    assert checked["contract"] == []
    raw = 0.1 + 0.1 * live["feature_a"] + 0.05 * live["feature_b"] + 0.01 * live["feature_c"]
    predictions = pd.read_csv(tmp_path / "predictions.csv", index_col="id")["prediction"]
    assert (predictions - raw.round(9).rank(pct=True)).abs().max() < 1e-9


def test_the_pickle_holds_no_path_of_this_machine(repository: Path) -> None:
    packed = report("script", request(repository))
    content = Path(packed["pack"]["pickle_path"]).read_bytes()
    assert str(repository).encode() not in content
    assert os.fsencode(repository.name) not in content
    assert b"mine/scoring.py" in content


def test_one_parameter_is_enough(repository: Path) -> None:
    assert report("script", request(repository, "deploy.py:simple"))["parameters"] == ["live_features"]


def test_the_pickle_does_not_need_the_repository(repository: Path) -> None:
    packed = report("script", request(repository))
    code = "import pickle, sys; print(pickle.load(open(sys.argv[1], 'rb')).__name__)"
    done = subprocess.run(
        [sys.executable, "-I", "-c", code, packed["pack"]["pickle_path"]], capture_output=True, text=True, cwd="/"
    )
    assert done.stdout.strip() == "predict", done.stderr


@pytest.mark.parametrize(
    ("script", "says"),
    [
        ("absent.py:predict", "does not exist"),
        ("deploy.py:forecast", "no function 'forecast'"),
        ("deploy.py:model_that_is_not_there", "no function"),
        ("deploy.py:no_parameters", "one or two parameters"),
        ("deploy.py:three", "one or two parameters"),
    ],
)
def test_a_function_that_is_no_predict_is_refused(repository: Path, script: str, says: str) -> None:
    assert says in refused(repository, script).cause
    assert not (repository / "model.pkl").exists()


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("import no_such_package\n", "script.py, line 1: ModuleNotFoundError"),
        ("x = 1\nx.fit()\n", "script.py, line 2: AttributeError"),
        ("import sys\nsys.exit('usage')\n", "SystemExit"),
        ("def predict(:\n", "SyntaxError"),
    ],
)
def test_a_script_that_cannot_be_imported_is_refused_with_the_line(repository: Path, source: str, says: str) -> None:
    (repository / "script.py").write_text(source)
    assert says in refused(repository, "script.py:predict").evidence


PREDICT = """
import numpy as np
import pandas as pd
{top}
def predict(live_features):
    {body}
    return pd.DataFrame({{"prediction": np.linspace(0, 1, len(live_features))}}, index=live_features.index)
"""


@pytest.mark.parametrize(
    ("top", "body", "says"),
    [
        ("import httpx", "httpx.codes", "the image has no httpx"),
        ("", "import yaml", "the image has no yaml"),
        ("", "from mine import constants", "mine is imported while predict runs"),
        ("", "open('weights/a.txt')", "reads a file"),
        ("", "pd.read_parquet('x.parquet')", "reads a file"),
        ("from urllib.request import urlopen", "urlopen('https://example.org')", "uses the network"),
        ("columns = pd.Index(['feature_a'])", "live_features[columns]", "a pandas object"),
        (
            "import random",
            "try:\n        x = live_features['era']\n    except Exception:\n        x = np.random.rand(3)",
            "draws random numbers",
        ),
    ],
)
def test_what_would_fail_in_the_container_is_refused(repository: Path, top: str, body: str, says: str) -> None:
    (repository / "script.py").write_text(PREDICT.format(top=top, body=body))
    error = refused(repository, "script.py:predict")
    assert says in error.evidence
    assert error.next_step
    assert not (repository / "model.pkl").exists()


def test_what_may_fail_is_a_warning(repository: Path) -> None:
    top = "import pickle\nkeep = pickle.dumps([1])"
    (repository / "script.py").write_text(PREDICT.format(top=top, body="import io; pickle.load(io.BytesIO(keep))"))
    packed = report("script", request(repository, "script.py:predict"))
    assert [(finding["id"], finding["severity"]) for finding in packed["findings"]] == [("reads_files", "warning")]


def test_what_a_script_prints_does_not_mix_with_the_report(repository: Path) -> None:
    (repository / "script.py").write_text(
        "import os\nprint('hello')\nos.system('echo there')\n" + PREDICT.format(top="", body="pass")
    )
    assert report("script", request(repository, "script.py:predict"))["parameters"] == ["live_features"]
