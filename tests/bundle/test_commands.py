"""`python -m bundle_core`: convert with parity, check and what they refuse."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import server.demo
from bundle_core.bundle import load, save
from bundle_core.check import check
from bundle_core.conversion import convert
from bundle_core.errors import BundleError
from bundle_core.reports import CheckRequest, ConvertReport, ConvertRequest
from bundle_core.typed_json import from_json
from tests.bundle.commands import refusal, report, run
from tests.bundle.small_models import NAMES, additive_model, benchmark_frame, bundle_of, live_frame

DEMO = Path(server.demo.__file__).parent / "data"
LIVE = live_frame(300, 3)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A workspace with two bundles of a model each, live rows, benchmarks and the first model's raw scores."""
    save(bundle_of({}), tmp_path / "a.npz")
    save(bundle_of({}, additive_model([0.3], names=["feature_c"], base=-0.1)), tmp_path / "b.npz")
    LIVE.to_parquet(tmp_path / "live.parquet")
    benchmark_frame(LIVE).to_parquet(tmp_path / "benchmarks.parquet")
    raw = bundle_predictions(tmp_path / "a.npz")
    raw.sample(frac=1, random_state=1).to_csv(tmp_path / "reference.csv")
    return tmp_path


def bundle_predictions(path: Path) -> pd.DataFrame:
    from bundle_core import predict

    return predict(load(path), LIVE)


def converted(folder: Path, **request: Any) -> ConvertReport:
    return convert(from_json(ConvertRequest, {"output": "out.npz", "base_dir": str(folder), **request}))


@pytest.mark.requires("lightgbm")
def test_a_model_file_is_converted_identically_and_says_what_it_is(tmp_path: Path) -> None:
    said = report(
        "convert",
        {
            "output": str(tmp_path / "model.npz"),
            "base_dir": str(DEMO),
            "model_path": "model.txt.xz",
            "sample": "live.parquet",
        },
    )
    assert said["parity"]["status"] == "identical"
    assert said["parity"]["data"] == "sample"
    assert said["parity"]["max_abs_diff"] == 0
    assert said["description"]["sources"][0]["size"] == "2,000 trees, 62,000 leaves"
    assert said["description"]["features"] == 740
    assert not said["rank_added"]
    assert said["size_bytes"] == (tmp_path / "model.npz").stat().st_size


def test_without_a_pipeline_a_rank_is_added_where_scores_leave_the_range(folder: Path) -> None:
    assert not converted(folder, model_path="a.npz", sample="live.parquet").rank_added
    said = converted(folder, model_path="b.npz", sample="live.parquet")
    assert said.rank_added
    assert said.description.steps == ["predictions are ranked over all rows, ties average, rank / count"]
    assert converted(folder, pipeline={"models": [{"path": "a.npz"}, {"path": "b.npz", "weight": 99}]}).rank_added
    assert converted(folder, model_path="b.npz", pipeline={"impute": 2}).rank_added
    assert not converted(folder, model_path="b.npz", pipeline={"clip": [0, 1]}).rank_added
    assert not converted(folder, model_path="b.npz", pipeline={"rank": None}).rank_added


def test_a_reference_proves_parity_by_id_without_the_library(folder: Path) -> None:
    said = converted(folder, model_path="a.npz", sample="live.parquet", reference="reference.csv")
    assert said.parity.status == "identical"
    assert said.parity.rows == 300


def test_a_reference_that_differs_says_how_much(folder: Path) -> None:
    reference = pd.read_csv(folder / "reference.csv", index_col="id")
    reference["prediction"] += 1e-9
    reference.to_parquet(folder / "reference.parquet")
    parity = converted(folder, model_path="a.npz", sample="live.parquet", reference="reference.parquet").parity
    assert parity.status == "different"
    assert parity.max_abs_diff == pytest.approx(1e-9, rel=1e-6)
    assert parity.rank_correlation == pytest.approx(1)


def test_several_sources_are_compared_by_the_reference_columns_of_their_names(folder: Path) -> None:
    a = bundle_predictions(folder / "a.npz")["prediction"]
    pd.DataFrame({"a": a, "b": -0.1 + 0.3 * LIVE["feature_c"]}).to_csv(folder / "reference.csv")
    pipeline = {"models": [{"path": "a.npz"}, {"path": "b.npz"}], "rank_each": "era", "rank": "era"}
    parity = converted(folder, pipeline=pipeline, sample="live.parquet", reference="reference.csv").parity
    assert parity.max_abs_diff is not None
    assert parity.max_abs_diff < 1e-15
    assert "a: " in parity.reason
    assert "b: " in parity.reason


def test_without_library_and_reference_parity_says_why_it_was_not_run(folder: Path) -> None:
    parity = converted(folder, bundle_path="a.npz").parity
    assert parity.status == "not_run"
    assert "reference" in parity.reason


def test_a_few_eras_of_a_large_sample_are_enough(folder: Path) -> None:
    live_frame(21_000, 3).to_parquet(folder / "large.parquet")
    said = check(CheckRequest(pickled(folder, CONSTANT.format(QUARTER)), sample=str(folder / "large.parquet")))
    assert (said.rows, said.timed_rows) == (20_000, 6500)


def test_a_bundle_gets_another_pipeline(folder: Path) -> None:
    converted(folder, bundle_path="a.npz", pipeline={"rank": "era"})
    assert load(folder / "out.npz").steps.rank == "era"


@pytest.mark.parametrize(
    ("request_", "says"),
    [
        ({}, "model_path: give exactly one"),
        ({"model_path": "a.npz", "bundle_path": "a.npz"}, "model_path: give exactly one"),
        ({"model_path": "a.npz", "pipeline": {"models": [{"path": "b.npz"}]}}, "model_path: give exactly one"),
        ({"pipeline": {"models": [{"path": "absent.txt"}]}}, "pipeline.models[0].path: absent.txt does not exist"),
        ({"model_path": "a.npz", "features": "absent.json"}, "features: absent.json does not exist"),
        ({"model_path": "a.npz", "features": NAMES, "pipeline": {"features": NAMES}}, "features: is given twice"),
        ({"model_path": "a.npz", "features": NAMES[::-1]}, "'feature_c' stands where the model was trained"),
        ({"model_path": "a.npz", "reference": "reference.csv"}, "reference: needs sample"),
        ({"model_path": "reference.csv"}, "begins with"),
        (
            {"model_path": "a.npz", "sample": "live.parquet", "pipeline": {"neutralize": {"to": ["feature_z"]}}},
            "pipeline.neutralize.to[0]: 'feature_z' is no column of the sample",
        ),
        ({"model_path": "absent.txt"}, "absent.txt"),
        ({"model_path": "a.npz", "sample": "reference.csv"}, "lacks 3 of the model's 3 columns"),
        ({"model_path": "a.npz", "sample": "a.npz"}, ""),
        ({"model_path": "a.npz", "sample": "live.parquet", "reference": "live.parquet"}, "numeric columns: feature_a"),
        ({"model_path": "a.npz", "output": "absent/out.npz"}, "No such file"),
    ],
)
def test_what_cannot_be_converted_is_refused_and_nothing_is_written(
    folder: Path, request_: dict[str, Any], says: str
) -> None:
    before = sorted(folder.iterdir())
    with pytest.raises(BundleError) as refused:
        converted(folder, **request_)
    assert says in f"{refused.value.cause} {refused.value.evidence}"
    assert refused.value.next_step
    assert sorted(folder.iterdir()) == before


def test_an_expected_failure_is_exit_code_3_with_cause_and_next_step(folder: Path) -> None:
    error = refusal("convert", {"output": "out.npz", "base_dir": str(folder), "model_path": "reference.csv"})
    assert error["kind"] == "ModelRefused"
    assert error["cause"]
    assert error["next_step"]


@pytest.mark.parametrize("command", ["fingerprint", "check"])
def test_a_missing_pickle_is_an_expected_failure(command: str, tmp_path: Path) -> None:
    error = refusal(command, {"pickle_path": str(tmp_path / "absent.pkl")})
    assert error["cause"] == f"{tmp_path / 'absent.pkl'} cannot be used: No such file or directory."


@pytest.mark.parametrize("request_", [{}, {"output": 3}, [], {"output": "a", "base_dir": "b", "modelpath": "c"}])
def test_a_request_that_is_none_is_wrong_use(request_: Any) -> None:
    code, answer, errors = run("convert", request_)
    assert (code, answer) == (2, None)
    assert "ConvertRequest" in errors


def test_probe_tells_what_the_interpreter_is() -> None:
    said = report("probe", {"packages": ["numpy", "no-such-package"]})
    assert said["python_version"] == f"{sys.version_info.major}.{sys.version_info.minor}"
    assert said["packages"] == {"numpy": np.__version__, "no-such-package": None}


def pickled(folder: Path, source: str) -> str:
    """A pickle of `predict` as `source` defines it."""
    import cloudpickle

    namespace: dict[str, Any] = {"__name__": "foreign"}
    exec(source, namespace)
    (folder / "model.pkl").write_bytes(cloudpickle.dumps(namespace["predict"], protocol=4))
    return str(folder / "model.pkl")


QUARTER = "return pd.DataFrame({'prediction': live_features['feature_a'] / 4})"
CONSTANT = "import pandas as pd\ndef predict(live_features):\n    {}\n"


@pytest.mark.parametrize(
    ("body", "failure", "contract"),
    [
        (QUARTER, None, []),
        ("return live_features['feature_a'] / 4", None, ["wrong_type"]),
        ("return None", None, ["no_result"]),
        ("return pd.DataFrame({'prediction': 0.5}, index=live_features.index)", None, ["constant"]),
        ("return live_features['feature_z']", "KeyError: 'feature_z'", []),
        ("import bundle_core", "ModuleNotFoundError: import of bundle_core", []),
        ("raise SystemExit(0)", "Python ended with exit code 0 and no result", []),
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", "Python died with SIGSEGV", []),
    ],
)
def test_check_runs_the_pickle_as_the_image_would(
    folder: Path, body: str, failure: str | None, contract: list[str]
) -> None:
    said = check(CheckRequest(pickled(folder, CONSTANT.format(body)), sample=str(folder / "live.parquet")))
    assert (said.failure or "").startswith(failure or "")
    assert (said.failure is None) == (failure is None)
    assert [finding.id for finding in said.contract] == contract


def test_check_measures_at_live_size_and_keeps_the_predictions(folder: Path) -> None:
    path = pickled(folder, CONSTANT.format(QUARTER))
    said = report(
        "check", {"pickle_path": path, "sample": str(folder / "live.parquet"), "output": str(folder / "out.csv")}
    )
    assert (said["data"], said["rows"], said["timed_rows"]) == ("sample", 300, 6500)
    assert said["predict_seconds"] > 0
    assert said["load_seconds"] > 0
    assert 20 < said["peak_memory_mb"] < 2000
    assert sum(said["histogram"]) == 300
    assert len(pd.read_csv(folder / "out.csv")) == 300


def test_check_makes_rows_for_the_columns_that_the_bundle_names(folder: Path) -> None:
    pipeline = {"blend_benchmark": {"column": "own_benchmark", "weight": 0.5}, "rank": "era"}
    save(bundle_of(pipeline), folder / "c.npz")
    report("pack", {"bundle_path": str(folder / "c.npz"), "output": str(folder / "c.pkl")})
    said = report("check", {"pickle_path": str(folder / "c.pkl"), "bundle_path": str(folder / "c.npz")})
    assert said["failure"] is None
    assert (said["data"], said["rows"], said["contract"]) == ("synthetic", 6500, [])


def test_benchmarks_that_no_file_gives_are_made_up_for_the_sample(folder: Path) -> None:
    save(bundle_of({}, additive_model([0.1, 0.05], names=["feature_a", "v52_lgbm_ender20"])), folder / "d.npz")
    pipeline = {"blend_benchmark": {"column": "v52_lgbm_ender60", "weight": 0.5, "missing": "error"}, "rank": "era"}
    converted(folder, bundle_path="d.npz", sample="live.parquet", pipeline=pipeline)
    report("pack", {"bundle_path": str(folder / "out.npz"), "output": str(folder / "d.pkl")})
    said = check(
        CheckRequest(str(folder / "d.pkl"), sample=str(folder / "live.parquet"), bundle_path=str(folder / "out.npz"))
    )
    assert said.failure is None
    assert said.contract == []


def test_parity_of_a_bundle_with_a_reference_file(folder: Path) -> None:
    said = report(
        "parity",
        {
            "bundle_path": str(folder / "a.npz"),
            "sample": str(folder / "live.parquet"),
            "reference": str(folder / "reference.csv"),
        },
    )
    assert said["status"] == "identical"
    assert json.dumps(said)
