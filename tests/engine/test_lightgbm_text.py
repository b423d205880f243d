"""What the LightGBM front end reads, and what it refuses by name."""

from __future__ import annotations

import gzip
import io
import lzma
from pathlib import Path

import numpy as np
import pytest

from bundle_core.errors import ModelRefused
from bundle_core.frontends import lightgbm_text, read_model, read_object
from bundle_core.ir import TreeEnsemble
from bundle_core.lowering import lower
from bundle_core.runtime.evaluate import raw_scores

STUMP = """tree
version=v4
num_class=1
num_tree_per_iteration=1
label_index=0
max_feature_idx=1
objective=regression
feature_names=a b
feature_infos=[0:4] [0:4]
tree_sizes=1 1

Tree=0
num_leaves=1
num_cat=0
split_feature=
leaf_value=0.25
shrinkage=1


Tree=1
num_leaves=2
num_cat=0
split_feature=1
split_gain=1
threshold=1.5
decision_type={decision}
left_child=-1
right_child=-2
leaf_value=-1 0.5
shrinkage=1


end of trees

pandas_categorical:null
"""


def read(text: str) -> TreeEnsemble:
    return lightgbm_text.read(io.BytesIO(text.encode()))


def scores(text: str, b: list[float]) -> list[float]:
    X = np.array([[0.0, value] for value in b])
    return raw_scores(lower(read(text)), X).tolist()


def test_a_value_equal_to_the_threshold_goes_left() -> None:
    assert scores(STUMP.format(decision=0), [1.5, np.nextafter(1.5, 2)]) == [-0.75, 0.75]


@pytest.mark.parametrize(
    ("missing", "decision", "of_nan", "of_zero"),
    [
        ("none", 0, -0.75, -0.75),
        ("none, default left", 2, -0.75, -0.75),
        ("zero", 4, 0.75, 0.75),
        ("zero, default left", 6, -0.75, -0.75),
        ("nan", 8, 0.75, -0.75),
        ("nan, default left", 10, -0.75, -0.75),
    ],
)
def test_nan_and_zero_go_where_the_missing_type_says(
    missing: str, decision: int, of_nan: float, of_zero: float
) -> None:
    assert scores(STUMP.format(decision=decision), [np.nan, 0.0, 1e-36, -1e-35]) == [of_nan, of_zero, of_zero, of_zero]


def test_names_and_objective_are_read() -> None:
    model = read(STUMP.format(decision=0))
    assert model.feature_names == ("a", "b")
    assert "regression" in model.source
    assert model.output == ()


@pytest.mark.parametrize(
    ("line", "steps"),
    [
        ("objective=binary sigmoid:2", (("sigmoid", 2.0),)),
        ("objective=poisson", (("exp", 1.0),)),
        ("objective=regression sqrt", (("signed_square", 1.0),)),
        ("average_output\nobjective=cross_entropy", (("divide", 2.0), ("sigmoid", 1.0))),
        ("label_index=0", ()),
    ],
)
def test_the_objectives_transform_is_known(line: str, steps: tuple[tuple[str, float], ...]) -> None:
    assert read(STUMP.format(decision=0).replace("objective=regression", line)).output == steps


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("version=v4", "version=v9", "version 'v9'"),
        ("num_class=1", "num_class=3", "3 outputs"),
        ("objective=regression", "objective=from_the_future", "from_the_future"),
        ("decision_type=0", "decision_type=12", "missing type"),
        ("pandas_categorical:null", 'pandas_categorical:[["x", "y"]]', "pandas category"),
        ("end of trees", "", "cut off"),
        ("leaf_value=-1 0.5", "leaf_value=-1", "damaged"),
        ("threshold=1.5", "threshold=abc", "damaged"),
        ("split_feature=1", "split_feature=7", "damaged"),
        ("right_child=-2", "right_child=-1", "damaged"),
    ],
)
def test_what_is_not_understood_is_refused_by_name(old: str, new: str, reason: str) -> None:
    text = STUMP.format(decision=0)
    assert old in text
    with pytest.raises(ModelRefused, match=reason) as refusal:
        read(text.replace(old, new))
    assert refusal.value.next_step


def test_a_text_that_stops_anywhere_is_refused() -> None:
    text = STUMP.format(decision=0)
    for length in range(40, text.index("end of trees"), 7):
        with pytest.raises(ModelRefused):
            read(text[:length])


def test_model_files_are_recognised_by_content_also_compressed(tmp_path: Path) -> None:
    text = STUMP.format(decision=0).encode()
    for name, content in {"plain": text, "a.txt": gzip.compress(text), "b": lzma.compress(text)}.items():
        (tmp_path / name).write_bytes(content)
        assert read_model(tmp_path / name).n_features == 2


@pytest.mark.parametrize("content", [b"", b"not a model", gzip.compress(b"tree\nversion=v4\n" * 999)[:60]])
def test_a_file_that_is_no_model_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "model.txt").write_bytes(content)
    with pytest.raises(ModelRefused):
        read_model(tmp_path / "model.txt")


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelRefused, match=r"nowhere\.txt"):
        read_model(tmp_path / "nowhere.txt")


@pytest.mark.requires("lightgbm", "sklearn")
def test_an_early_stopped_regressor_predicts_up_to_its_best_iteration() -> None:
    import lightgbm

    rng = np.random.default_rng(0)
    X = rng.normal(size=(400, 4))
    y = X[:, 0] + rng.normal(size=400)
    model = lightgbm.LGBMRegressor(n_estimators=300, learning_rate=0.3, n_jobs=1, verbose=-1)
    model.fit(X[:200], y[:200], eval_set=[(X[200:], y[200:])], callbacks=[lightgbm.early_stopping(3, verbose=False)])
    assert model.best_iteration_ < 100
    assert np.array_equal(raw_scores(lower(read_object(model)), X), model.predict(X))


@pytest.mark.requires("lightgbm", "sklearn")
def test_a_custom_objective_gives_raw_scores_as_the_library_does() -> None:
    import lightgbm

    class Mine(lightgbm.LGBMRegressor):
        """A subclass is read as what it is one of."""

    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, 3))
    model = Mine(
        n_estimators=20, n_jobs=1, verbose=-1, objective=lambda y, score: (score - y, np.ones_like(y))
    )  # fmt: skip
    model.fit(X, X[:, 0])
    read_back = read_object(model)
    assert isinstance(read_back, TreeEnsemble)
    assert read_back.output == ()
    assert np.array_equal(raw_scores(lower(read_back), X), model.predict(X, raw_score=True))


@pytest.mark.requires("lightgbm", "sklearn")
def test_a_subclass_with_a_predict_of_its_own_is_refused() -> None:
    import lightgbm

    class Mine(lightgbm.LGBMRegressor):
        def predict(self, X: object, *args: object, **kwargs: object) -> object:
            return -super().predict(X)

    rng = np.random.default_rng(0)
    X = rng.normal(size=(100, 2))
    with pytest.raises(ModelRefused, match="own predict"):
        read_object(Mine(n_estimators=2, n_jobs=1, verbose=-1).fit(X, X[:, 0]))


@pytest.mark.requires("lightgbm", "sklearn")
def test_a_model_that_is_not_fitted_is_refused() -> None:
    import lightgbm

    with pytest.raises(ModelRefused, match="not fitted"):
        read_object(lightgbm.LGBMRegressor())
