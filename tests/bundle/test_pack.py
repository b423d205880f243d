"""The pickle stands alone, is the same every time, and predicts the same to the last bit in all four Pythons."""

from __future__ import annotations

import os
import pickletools
import shutil
import subprocess
import sys
import venv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bundle_core.bundle import load, save
from bundle_core.plan import make_plan
from bundle_core.runtime.predict import build
from bundle_core.runtime_by_value import runtime_namespace
from tests.bundle.commands import ROOT, refusal, report
from tests.bundle.small_models import additive_model, benchmark_frame, bundle_of, live_frame

MINORS = ("3.10", "3.11", "3.12", "3.13")
EVERYTHING: dict[str, Any] = {
    "models": [{"path": "a", "weight": 2}, {"path": "b"}],
    "impute": 2,
    "rank_each": "era",
    "blend_benchmark": {"column": "v52_lgbm_ender20", "weight": 0.25, "missing": "mean"},
    "neutralize": {"to": ["feature_a", "feature_b", "v52_lgbm_ender60"], "proportion": 0.5, "by": "era"},
    "gaussianize": "era",
    "clip": [-2.5, 2.5],
    "rank": {"by": "era", "centered": True},
}
LIVE = live_frame(600, 3)
BENCHMARKS = benchmark_frame(LIVE).drop(index=LIVE.index[:9])


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("bundle") / "model.npz"
    models = additive_model([0.1, 0.05, 0.01], base=0.1), additive_model([0.1, 0.2], names=["feature_c", "feature_b"])
    save(bundle_of(EVERYTHING, *models), path)
    return path


def packed(bundle: Path, output: Path, python: Path | str, seed: str = "0") -> Any:
    return report("pack", {"bundle_path": str(bundle), "output": str(output)}, python, seed)


@pytest.mark.parametrize("minor", [pytest.param(m, marks=pytest.mark.requires(f"python:{m}")) for m in MINORS])
def test_every_python_gives_the_same_predictions_to_the_last_bit(
    minor: str, bundle: Path, tmp_path: Path, image_python: Callable[..., Path]
) -> None:
    python = image_python(minor)
    LIVE.to_parquet(tmp_path / "live.parquet")
    BENCHMARKS.to_parquet(tmp_path / "benchmarks.parquet")
    said = packed(bundle, tmp_path / "model.pkl", python)
    assert said["python_version"] == minor
    checked = report(
        "check",
        {
            "pickle_path": str(tmp_path / "model.pkl"),
            "sample": str(tmp_path / "live.parquet"),
            "benchmarks": str(tmp_path / "benchmarks.parquet"),
            "output": str(tmp_path / "predictions.csv"),
        },
        python,
    )
    assert checked["failure"] is None
    assert checked["contract"] == []
    expected = build(make_plan(load(bundle)))(LIVE, BENCHMARKS)
    written = (tmp_path / "predictions.csv").read_text().splitlines()[1:]
    assert [float(line.split(",")[1]) for line in written] == expected["prediction"].to_list()


@pytest.mark.requires("python:3.10")
@pytest.mark.requires("python:3.12")
@pytest.mark.parametrize("minor", ["3.10", "3.12"])
def test_equal_input_gives_equal_bytes_whatever_the_folder_and_hash_seed(
    minor: str, bundle: Path, tmp_path: Path, image_python: Callable[..., Path]
) -> None:
    python = image_python(minor)
    first = packed(bundle, tmp_path / "first.pkl", python, seed="0")
    shutil.copytree(ROOT / "bundle_core", tmp_path / "elsewhere" / "bundle_core")
    shutil.copy(bundle, tmp_path / "copy.npz")
    again = subprocess.run(
        [python, "-s", "-B", "-m", "bundle_core", "pack"],
        input=f'{{"bundle_path": "{tmp_path}/copy.npz", "output": "{tmp_path}/again.pkl"}}',
        text=True,
        cwd=tmp_path / "elsewhere",
        env={"PATH": os.environ["PATH"], "PYTHONHASHSEED": "77"},
        capture_output=True,
    )
    assert again.returncode == 0, again.stderr
    assert (tmp_path / "again.pkl").read_bytes() == (tmp_path / "first.pkl").read_bytes()
    assert first["size_bytes"] == (tmp_path / "first.pkl").stat().st_size


def test_the_pickle_has_no_path_and_no_import_of_ours(bundle: Path, tmp_path: Path) -> None:
    said = packed(bundle, tmp_path / "model.pkl", sys.executable)
    content = (tmp_path / "model.pkl").read_bytes()
    for trace in (b"bundle_core", os.fsencode(ROOT), os.fsencode(tmp_path)):
        assert trace not in content
    foreign = {package for package in said["imports"] if package not in sys.stdlib_module_names}
    assert {"numpy", "pandas"} <= foreign <= {"cloudpickle", "numpy", "pandas", "scipy"}
    assert said["protocol"] == 4
    assert max(opcode.proto for opcode, _, _ in pickletools.genops(content)) <= 4


def test_the_runtime_is_plain_functions_that_are_no_importable_modules() -> None:
    namespace = runtime_namespace("predict")
    own = [value for value in namespace.values() if getattr(value, "__module__", "").startswith("numerai_bundle")]
    assert namespace["build"] in own
    assert namespace["raw_scores"] in own
    assert all(type(value).__name__ == "function" for value in own)
    assert not any(name.startswith("numerai_bundle") for name in sys.modules)


def test_what_cannot_be_written_is_refused(bundle: Path, tmp_path: Path) -> None:
    error = refusal("pack", {"bundle_path": str(bundle), "output": str(tmp_path / "absent" / "model.pkl")})
    assert error["kind"] == "PackRefused"
    error = refusal("pack", {"bundle_path": str(tmp_path / "absent.npz"), "output": str(tmp_path / "model.pkl")})
    assert error["kind"] == "BundleInvalid"
    assert list(tmp_path.iterdir()) == []


def test_a_python_without_the_packages_is_refused_with_the_way_out(bundle: Path, tmp_path: Path) -> None:
    venv.create(tmp_path / "bare")
    python = tmp_path / "bare" / "bin" / "python"
    error = refusal("pack", {"bundle_path": str(bundle), "output": str(tmp_path / "model.pkl")}, python)
    assert error["cause"] == f"{python} lacks numpy."
    assert "make_venv" in error["next_step"]
