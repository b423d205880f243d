"""The bundle file holds everything, is the same every time, and is refused when damaged."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bundle_core.bundle import Bundle, is_bundle, load, save
from bundle_core.errors import BundleInvalid, PackRefused
from bundle_core.ir import to_arrays
from bundle_core.plan import make_plan
from bundle_core.runtime.predict import build
from tests.bundle.small_models import additive_model, benchmark_frame, bundle_of, live_frame

PIPELINE: dict[str, Any] = {
    "models": [{"path": "a.txt", "weight": 2}, {"path": "b.txt", "name": "second"}],
    "impute": {"value": 2},
    "rank_each": "era",
    "blend_benchmark": {"column": "v52_lgbm_ender20", "weight": 0.25},
    "neutralize": {"to": ["feature_a"], "proportion": 0.5, "by": "era"},
    "rank": {"by": "era", "method": "first"},
}


def two_models() -> Any:
    return bundle_of(PIPELINE, additive_model([0.1, 0.05, 0.01]), additive_model([0.2], names=["feature_c"]))


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "model.npz"
    save(two_models(), path)
    return path


def test_a_loaded_bundle_predicts_what_the_saved_one_does(saved: Path) -> None:
    live = live_frame(50)
    before = build(make_plan(two_models()))(live, benchmark_frame(live))
    after = build(make_plan(load(saved)))(live, benchmark_frame(live))
    assert before.equals(after)


def test_names_weights_and_steps_come_back(saved: Path) -> None:
    held, made = load(saved), two_models()
    assert [(s.name, s.weight, s.features) for s in held.sources] == [
        (s.name, s.weight, s.features) for s in made.sources
    ]
    assert [source.name for source in held.sources] == ["a", "second"]
    assert held.steps == made.steps


def test_equal_bundles_give_equal_bytes(saved: Path, tmp_path: Path) -> None:
    again = tmp_path / "again.npz"
    save(load(saved), again)
    assert again.read_bytes() == saved.read_bytes()


def test_numpy_reads_the_file_without_pickle(saved: Path) -> None:
    with np.load(saved, allow_pickle=False) as archive:
        spec = json.loads(archive["bundle"].tobytes())
        assert spec["version"] == 1
        assert archive["0.threshold"].dtype == np.float64
    assert is_bundle(saved)


def rewritten(path: Path, change: Any) -> Path:
    with np.load(path) as archive:
        arrays = {name: archive[name] for name in archive.files}
    spec = json.loads(arrays["bundle"].tobytes())
    change(spec, arrays)
    arrays["bundle"] = np.frombuffer(json.dumps(spec).encode(), np.uint8)
    np.savez(path, **arrays)
    return path


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda spec, arrays: spec.update(version=2), "version 2"),
        (lambda spec, arrays: spec.update(sources=[]), "names no model"),
        (lambda spec, arrays: spec["sources"][0]["features"].pop(), "2 names for a model of 3"),
        (lambda spec, arrays: spec["sources"][0].update(weight=-1), "0 or more"),
        (lambda spec, arrays: spec["sources"][0].update(weight="1"), r"sources\[0\].weight"),
        (lambda spec, arrays: spec["sources"][0].pop("model"), r"sources\[0\].model"),
        (lambda spec, arrays: spec["sources"][0]["model"].update(kind="oracle"), "unknown kind"),
        (lambda spec, arrays: spec["steps"].update(rank="week"), "steps.rank"),
        (lambda spec, arrays: spec["steps"].update(clip=[1, 0]), "pipeline.clip"),
        (lambda spec, arrays: spec["steps"].update(scale={"mean": [1, 1, 1]}), "by name"),
        (lambda spec, arrays: arrays.pop("0.left"), "left"),
        (lambda spec, arrays: arrays.update({"0.left": arrays["0.left"][:-1]}), "left"),
        (lambda spec, arrays: arrays.update({"0.feature": arrays["0.feature"] + 3}), "feature"),
    ],
)
def test_a_bundle_whose_parts_contradict_each_other_is_refused(saved: Path, change: Any, says: str) -> None:
    with pytest.raises(BundleInvalid, match=says) as refusal:
        load(rewritten(saved, change))
    assert refusal.value.next_step


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"tree\nversion=v4\n", b"\x80\x04K\x01.", b"{}"])
def test_a_file_that_is_no_bundle_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "model.npz"
    path.write_bytes(content)
    assert not is_bundle(path)
    with pytest.raises(BundleInvalid):
        load(path)
    with pytest.raises(BundleInvalid):
        load(tmp_path / "absent.npz")


@pytest.mark.parametrize("part", [0.0, 0.3, 0.9])
def test_a_truncated_file_is_refused(saved: Path, part: float) -> None:
    content = saved.read_bytes()
    saved.write_bytes(content[: int(part * len(content))])
    with pytest.raises(BundleInvalid):
        load(saved)


def test_a_flipped_byte_is_refused_or_changes_nothing(saved: Path) -> None:
    content, whole = saved.read_bytes(), bundle_arrays(load(saved))
    for position in range(0, len(content), 61):
        saved.write_bytes(content[:position] + bytes([content[position] ^ 255]) + content[position + 1 :])
        try:
            held = bundle_arrays(load(saved))
        except BundleInvalid:
            continue
        assert held == whole


def bundle_arrays(bundle: Bundle) -> list[Any]:
    parts = [to_arrays(source.model) for source in bundle.sources]
    return [(spec, {name: array.tobytes() for name, array in arrays.items()}) for spec, arrays in parts]


def test_pickled_arrays_are_never_loaded(saved: Path) -> None:
    def sneak(spec: Any, arrays: Any) -> None:
        arrays["0.left"] = np.array([{"run": "me"}], dtype=object)

    with pytest.raises(BundleInvalid):
        load(rewritten(saved, sneak))


def test_an_unwritable_output_leaves_the_old_file_and_nothing_else(saved: Path, tmp_path: Path) -> None:
    with pytest.raises(PackRefused):
        save(two_models(), tmp_path / "absent" / "model.npz")
    (tmp_path / "folder").mkdir()
    with pytest.raises(PackRefused):
        save(two_models(), tmp_path / "folder")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder", "model.npz"]
