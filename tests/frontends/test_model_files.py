"""Model files are read without their library: those of models/, which make_models.py wrote beside their raw scores."""

from __future__ import annotations

import gzip
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bundle_core.errors import ModelRefused
from bundle_core.frontends import read_model
from bundle_core.ir import TreeEnsemble
from bundle_core.lowering import lower
from bundle_core.runtime.evaluate import raw_scores

FOLDER = Path(__file__).parent / "models"
MODELS = sorted(path for path in FOLDER.iterdir() if path.suffix in (".json", ".ubj"))
GBTREE = FOLDER / "xgboost-3.4.1-gbtree.json"
SYMMETRIC = FOLDER / "catboost-1.2.10-SymmetricTree.json"


def scores(path: Path) -> np.ndarray:
    return raw_scores(lower(read_model(path)), np.load(FOLDER / "rows.npy"))


@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.name)
def test_raw_scores_are_those_that_the_library_gave(path: Path) -> None:
    theirs = np.load(f"{path}.npy")
    ours = scores(path)

    assert ours.dtype == theirs.dtype
    assert np.array_equal(ours, theirs)


def test_a_file_is_known_by_its_content_also_when_compressed(tmp_path: Path) -> None:
    renamed = tmp_path / "model.bin.gz"
    renamed.write_bytes(gzip.compress(GBTREE.read_bytes()))

    assert np.array_equal(scores(renamed), scores(GBTREE))


def test_reading_a_file_imports_no_library() -> None:
    imported = set(sys.modules)
    for path in MODELS:
        read_model(path)

    assert not {"xgboost", "catboost"} & (set(sys.modules) - imported)


@pytest.mark.parametrize("spelling", ["3E-1", "[3E-1]", "0.3", 0.3, [0.3]])
def test_every_spelling_of_base_score_is_the_same_start(
    spelling: object, edited: Callable[[Path, Callable[[Any], None]], Path]
) -> None:
    def spell(document: Any) -> None:
        document["learner"]["learner_model_param"]["base_score"] = spelling

    assert np.array_equal(scores(edited(GBTREE, spell)), scores(GBTREE))


@pytest.mark.parametrize("version", ["1.7.5", "3.4.1"])
def test_a_file_that_a_regressor_saved_ends_at_its_best_iteration(
    version: str, edited: Callable[[Path, Callable[[Any], None]], Path]
) -> None:
    stopped = FOLDER / f"xgboost-{version}-stopped.json"
    of_booster = edited(stopped, lambda document: document["learner"]["attributes"].pop("scikit_learn"))
    best = int(json.loads(stopped.read_text())["learner"]["attributes"]["best_iteration"])

    models = [read_model(path) for path in (stopped, of_booster)]

    assert [model.n_trees for model in models if isinstance(model, TreeEnsemble)] == [best + 1, best + 4]
    assert models[0].source.endswith(f"{best + 1} of {best + 4} trees, best_iteration ends at {best + 1}")
    assert models[1].source.endswith(f"{best + 4} of {best + 4} trees, best_iteration ends at {best + 1}")


def test_the_output_step_of_an_objective_is_kept() -> None:
    model = read_model(FOLDER / "xgboost-3.4.1-logistic.ubj")

    assert isinstance(model, TreeEnsemble)
    assert model.output == (("sigmoid", 1.0),)


@pytest.fixture
def edited(tmp_path: Path) -> Callable[[Path, Callable[[Any], None]], Path]:
    """`edited(path, change)`: a copy of a JSON model after change(document)."""

    def edit(path: Path, change: Callable[[Any], None]) -> Path:
        document = json.loads(path.read_text())
        change(document)
        copy = tmp_path / "edited.json"
        copy.write_text(json.dumps(document))
        return copy

    return edit


def put(place: str, value: object) -> Callable[[Any], None]:
    """A change of a document: the value at "key.key.0.key"."""

    def change(document: Any) -> None:
        *way, last = (int(key) if key.isdigit() else key for key in place.split("."))
        for key in way:
            document = document[key]
        document[last] = value

    return change


MODEL = "learner.gradient_booster.model"


@pytest.mark.parametrize(
    ("path", "change", "reason"),
    [
        (GBTREE, put("learner.gradient_booster.name", "gblinear"), "'gblinear'"),
        (GBTREE, put("learner.learner_model_param.num_class", "3"), "3 outputs"),
        (GBTREE, put("learner.learner_model_param.num_target", "2"), "2 outputs"),
        (GBTREE, put("learner.objective.name", "binary:hinge"), "'binary:hinge'"),
        (GBTREE, put("learner.objective.name", "reg:newest"), "'reg:newest'"),
        (GBTREE, put("learner.attributes.scikit_learn", '{"missing": -999.0}'), "-999.0 as missing"),
        (GBTREE, put(f"{MODEL}.cats.enc", [{"type": 15, "values": [2, 4, 7]}]), "are not 0, 1, 2"),
        (GBTREE, put(f"{MODEL}.cats.enc", [{"offsets": [0, 1], "values": [97]}]), "of texts"),
        (GBTREE, put("learner.learner_model_param.base_score", "[5E-1"), "damaged"),
        (GBTREE, put(f"{MODEL}.trees.0.left_children.0", 0), "damaged"),
        (GBTREE, put(f"{MODEL}.trees.0.split_indices.0", 99), "damaged"),
        (GBTREE, put("learner", {}), "damaged"),
        (GBTREE, put("learner.learner_model_param.num_class", "three"), "damaged"),
        (GBTREE, put("learner.gradient_booster", []), "damaged"),
        (GBTREE, put("learner.attributes", []), "damaged"),
        (SYMMETRIC, put("features_info.categorical_features", [{}]), "categorical features"),
        (SYMMETRIC, put("features_info.text_features", [{}]), "text features"),
        (SYMMETRIC, put("ctr_data", {}), "CTRs"),
        (SYMMETRIC, put("scale_and_bias", [1, [0.1, 0.2]]), "2 outputs"),
        (SYMMETRIC, put("model_info.params.loss_function.type", "Newest"), "'Newest'"),
        (SYMMETRIC, put("oblivious_trees.0.splits.0.split_type", "OneHotFeature"), "OneHotFeature"),
        (SYMMETRIC, put("oblivious_trees.0.leaf_values", [1.0]), "damaged"),
        (SYMMETRIC, put("features_info", []), "damaged"),
        (SYMMETRIC, put("scale_and_bias", 1), "damaged"),
    ],
)
def test_what_is_not_read_is_refused_by_name(
    path: Path,
    change: Callable[[Any], None],
    reason: str,
    edited: Callable[[Path, Callable[[Any], None]], Path],
) -> None:
    with pytest.raises(ModelRefused, match=re.escape(reason)) as refusal:
        read_model(edited(path, change))

    assert refusal.value.next_step


@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.name)
def test_a_file_that_is_cut_off_is_refused(path: Path, tmp_path: Path) -> None:
    content = path.read_bytes().rstrip()
    cut = tmp_path / path.name
    for length in (len(content) // 3, len(content) - 1):
        cut.write_bytes(content[:length])
        with pytest.raises(ModelRefused, match="damaged"):
            read_model(cut)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b'{"learner":' + b"[" * 100_000, "damaged"),
        (b"binf\x00\x00\x00\x3f", "binary format"),
        (b"CONFIG-offset:00000", "binary format"),
        (b"booster[0]:\n0:[f0<2.5] yes=1,no=2,missing=1\n", "text dump"),
        (b'[\n  { "nodeid": 0, "depth": 0, "split": "f0" }]', "JSON dump"),
        (b"CBM1\x88\x18\x00\x00", "CatBoost model is damaged|which this Python lacks"),
    ],
)
def test_other_formats_of_the_libraries_are_refused_by_name(content: bytes, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "model"
    path.write_bytes(content)

    with pytest.raises(ModelRefused, match=reason):
        read_model(path)
