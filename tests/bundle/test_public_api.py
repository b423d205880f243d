"""bundle_core from Python: the README's ten lines."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import bundle_core
from bundle_core.errors import PipelineInvalid
from tests.bundle.small_models import benchmark_frame, bundle_of, live_frame

LIVE = live_frame(40)


def imported_by(statement: str) -> set[str]:
    code = f"import sys\nbefore = set(sys.modules)\n{statement}\nprint(*(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return {name.partition(".")[0] for name in done.stdout.split()} - {"encodings"}


def test_importing_it_brings_nothing_along() -> None:
    brought = {name for name in imported_by("import bundle_core") if name not in sys.stdlib_module_names}
    assert brought == {"bundle_core"}


def test_converting_needs_no_more_than_numpy() -> None:
    statement = "import bundle_core.composition, bundle_core.conversion, bundle_core.typed_json"
    brought = {name for name in imported_by(statement) if name not in sys.stdlib_module_names}
    assert brought == {"bundle_core", "numpy"}


@pytest.mark.requires("lightgbm")
def test_a_model_goes_from_file_or_object_to_predictions_and_a_pickle(tmp_path: Path) -> None:
    import lightgbm

    names = ["feature_a", "feature_b", "feature_c"]
    rows = live_frame(500, seed=3)
    target = rows["feature_a"] / 8 + rows["feature_b"] / 16
    model = lightgbm.LGBMRegressor(n_estimators=20, verbose=-1).fit(rows[names], target)
    model.booster_.save_model(tmp_path / "model.txt")

    from_file = bundle_core.convert(tmp_path / "model.txt")
    bundle = bundle_core.compose([from_file, model], {"rank_each": "era", "rank": "era"}, weights=[3, 1])
    bundle_core.save(bundle, tmp_path / "model.npz")
    predictions = bundle_core.predict(bundle_core.load(tmp_path / "model.npz"), LIVE, benchmark_frame(LIVE))
    packed = bundle_core.pack(bundle, tmp_path / "model.pkl")

    raw = bundle_core.predict(from_file, LIVE)["prediction"]
    assert (raw.to_numpy() == model.predict(LIVE[names])).all()
    assert predictions["prediction"].equals(raw.groupby(LIVE["era"]).rank(pct=True))
    assert bundle_core.predict(bundle_core.convert(model), LIVE)["prediction"].equals(raw)
    assert packed.size_bytes == (tmp_path / "model.pkl").stat().st_size


def test_weights_and_steps_that_do_not_fit_are_refused() -> None:
    bundle = bundle_of({})
    with pytest.raises(PipelineInvalid, match="1 weights for 2 models"):
        bundle_core.compose([bundle, bundle], {}, weights=[1.0])
    with pytest.raises(PipelineInvalid, match=r"pipeline\.features"):
        bundle_core.compose([bundle], {"features": ["feature_a"]})
    with pytest.raises(PipelineInvalid, match=r"pipeline\.rank"):
        bundle_core.compose([bundle], {"rank": "weekly"})
