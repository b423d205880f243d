"""Time of the pickle's predict against the library's own, one thread each, for the shapes of models that people ship.

Run: python tests/benchmarks/predict.py ["PART OF A LABEL" ...]. Both sides alternate in one process and the best of
their rounds counts. Ours is the whole predict function of the pickle: from a live frame with the columns in another
order and columns it does not need, to ranked predictions. The library gets a contiguous array in the dtype that it
likes best, and its input prepared where it takes a prepared one. Times are CPU times of the process, so that a busy
machine disturbs less. Forests of very many trees are a trained one's trees repeated.
"""

from __future__ import annotations

import json
import lzma
import pickle
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).parents[2]))
import bundle_core

ROWS = 6500
EXTRA_COLUMNS = 300
CHILD = """
import json, pickle, sys, time
from pathlib import Path
import numpy, pandas

def memory(name):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name))

live = pandas.read_pickle(sys.argv[2])
begin = time.perf_counter()
with open(sys.argv[1], "rb") as file:
    predict = pickle.load(file)
load = time.perf_counter() - begin
Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
before = memory("VmRSS")
begin = time.perf_counter()
predict(live, None)
took, peak = time.perf_counter() - begin, (memory("VmHWM") - before) / 1024
print(json.dumps({"load_ms": round(load * 1000, 1), "predict_ms": round(took * 1000, 1), "peak_mb": round(peak)}))
"""


@dataclass(frozen=True)
class Case:
    """A row of the table: the model (object or file), what it predicts on, and the library's raw scores."""

    model: Any
    X: np.ndarray
    library: Callable[[], np.ndarray]
    names: list[str] | None = None


def numerai_rows(rows: int, features: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """(X, y): features 0 to 4 and a target that depends on some."""
    rng = np.random.default_rng(seed)
    X = rng.integers(0, 5, (rows, features), np.int8)
    return X, X[:, :20] @ rng.normal(size=20) * 0.05 + rng.normal(size=rows)


def lightgbm_forest(
    trees: int, features: int, *, trained: int = 0, rows: int = 20_000, dtype: str = "int8", **parameters: Any
) -> Case:
    import lightgbm

    X, y = numerai_rows(rows, features)
    settings = {"learning_rate": 0.01, "feature_fraction": 0.1, "verbose": -1, **parameters}
    booster = lightgbm.train(settings, lightgbm.Dataset(X.astype(np.float32), y), trained or trees)
    if trained:
        booster = lightgbm.Booster(model_str="".join(repeated(booster.model_to_string(), trees)))
    return lightgbm_case(booster, numerai_rows(ROWS, features, 1)[0].astype(dtype))


def lightgbm_case(booster: Any, X: np.ndarray) -> Case:
    liked = np.ascontiguousarray(X, np.float64 if X.dtype == np.float64 else np.float32)
    return Case(booster, X, lambda: booster.predict(liked, raw_score=True, num_threads=1))


def shipped_model() -> Case:
    import lightgbm

    data = Path(__file__).parents[2] / "server" / "demo" / "data"
    booster = lightgbm.Booster(model_str=lzma.decompress((data / "model.txt.xz").read_bytes()).decode())
    names = booster.feature_name()
    case = lightgbm_case(booster, pd.read_parquet(data / "live.parquet")[names].to_numpy())
    return replace(case, names=names)


def repeated(text: str, trees: int) -> Iterator[str]:
    """The model text piece by piece, its trees repeated until there are `trees`."""
    header, _, rest = text.partition("\nTree=0")
    body, _, end = ("Tree=0" + rest).partition("\nend of trees")
    parts = [part.partition("\n")[2].rstrip() for part in body.split("Tree=")[1:]]
    lines = [line for line in header.split("\n") if not line.startswith("tree_sizes")]

    def tree(i: int) -> str:
        return f"Tree={i}\n{parts[i % len(parts)]}\n\n\n"

    sizes = " ".join(str(len(tree(i))) for i in range(trees))
    yield "\n".join([*lines, f"tree_sizes={sizes}", "", ""])
    yield from map(tree, range(trees))
    yield "end of trees" + end


def continuous_lightgbm() -> Case:
    import lightgbm

    rng = np.random.default_rng(0)
    X = rng.normal(size=(20_000, 50))
    y = X[:, :9].sum(axis=1) + np.sin(X[:, 3] * 3) + rng.normal(size=len(X))
    return lightgbm_case(lightgbm.train({"verbose": -1}, lightgbm.Dataset(X, y), 300), rng.normal(size=(ROWS, 50)))


def xgboost_forest() -> Case:
    import xgboost

    X, y = numerai_rows(20_000, 740)
    model = xgboost.XGBRegressor(n_estimators=600, max_depth=5, learning_rate=0.01, colsample_bytree=0.1)
    booster = model.fit(X.astype(np.float32), y).get_booster()
    booster.set_param({"nthread": 1})
    live = numerai_rows(ROWS, 740, 1)[0]
    liked = np.ascontiguousarray(live, np.float32)
    return Case(booster, live, lambda: booster.inplace_predict(liked, predict_type="margin"))


def catboost_forest() -> Case:
    import catboost

    X, y = numerai_rows(20_000, 740)
    model = catboost.CatBoostRegressor(iterations=500, depth=6, verbose=False, allow_writing_files=False)
    model.fit(X.astype(np.float32), y)
    live = numerai_rows(ROWS, 740, 1)[0]
    pool = catboost.Pool(live.astype(np.float32))
    return Case(model, live, lambda: model.predict(pool, prediction_type="RawFormulaVal", thread_count=1))


def hist_gradient_boosting() -> Case:
    from sklearn.ensemble import HistGradientBoostingRegressor
    from threadpoolctl import threadpool_limits

    X, y = numerai_rows(20_000, 740)
    model = HistGradientBoostingRegressor(max_iter=200, early_stopping=False).fit(X.astype(np.float64), y)
    live = numerai_rows(ROWS, 740, 1)[0]
    liked = live.astype(np.float64)

    def library() -> np.ndarray:
        with threadpool_limits(1):
            return model.predict(liked)

    return Case(model, live, library)


def random_forest() -> Case:
    from sklearn.ensemble import RandomForestRegressor

    X, y = numerai_rows(20_000, 740)
    model = RandomForestRegressor(100, max_depth=10, max_features=0.1, n_jobs=2).fit(X.astype(np.float32), y)
    model.n_jobs = 1
    live = numerai_rows(ROWS, 740, 1)[0]
    liked = live.astype(np.float32)
    return Case(model, live, lambda: model.predict(liked))


ROWS_OF_THE_TABLE: list[tuple[str, float, Callable[[], Case]]] = [
    ("the demo's model: LightGBM, 2,000 trees, depth 5", 0.05, shipped_model),
    ("LightGBM, 2,000 trees, depth 5, 740 features, int8", 0.04, lambda: lightgbm_forest(2000, 740, max_depth=5)),
    ("LightGBM, 20,000 trees, depth 6", 0.03,
     lambda: lightgbm_forest(20_000, 740, trained=250, max_depth=6, num_leaves=64)),
    ("LightGBM, 2,000 trees, depth 10, about 1,000 leaves", 0.05,
     lambda: lightgbm_forest(2000, 740, trained=20, rows=40_000, max_depth=10, num_leaves=1024, min_data_in_leaf=5)),
    ("LightGBM leaf-wise, 500 trees, 31 leaves", 0.10, lambda: lightgbm_forest(500, 740)),
    ("LightGBM, 500 trees, 2,400 features", 0.08, lambda: lightgbm_forest(500, 2400, max_depth=5)),
    ("LightGBM, 50 trees", 0.12, lambda: lightgbm_forest(50, 740, max_depth=5)),
    ("XGBoost, 600 trees, depth 5", 0.20, xgboost_forest),
    ("CatBoost, 500 trees, depth 6", 0.30, catboost_forest),
    ("HistGradientBoosting, 200 trees", 0.10, hist_gradient_boosting),
    ("RandomForest, 100 trees, depth 10", 0.20, random_forest),
    ("the first row with float32 columns", 0.06, lambda: lightgbm_forest(2000, 740, dtype="float32", max_depth=5)),
    ("LightGBM, 300 trees, 50 continuous float64 features", 0.40, continuous_lightgbm),
]  # fmt: skip


def live_frame(X: np.ndarray, names: list[str]) -> pd.DataFrame:
    """X's columns by name among others, in another order, and an era."""
    rng = np.random.default_rng(2)
    others = [f"other_{i}" for i in range(EXTRA_COLUMNS)]
    every = np.concatenate([X, rng.integers(0, 5, (len(X), EXTRA_COLUMNS)).astype(X.dtype)], axis=1)
    order = rng.permutation(every.shape[1])
    frame = pd.DataFrame(every[:, order], columns=np.array(names + others)[order])
    frame.insert(0, "era", "0001")
    frame.index = pd.Index([f"n{i:07d}" for i in range(len(X))], name="id")
    return frame


def best_times(ours: Callable[[], Any], library: Callable[[], Any], seconds: float = 10) -> tuple[float, float]:
    """Best CPU seconds of both, alternating for about `seconds`."""
    times: tuple[list[float], list[float]] = ([], [])
    deadline = time.perf_counter() + seconds
    while len(times[0]) < 3 or time.perf_counter() < deadline:
        for measured, function in zip(times, (ours, library), strict=True):
            begin = time.process_time()
            function()
            measured.append(time.process_time() - begin)
    return min(times[0]), min(times[1])


def measure(label: str, aim: float, case: Case, folder: Path) -> str:
    names = case.names or [f"feature_{i}" for i in range(case.X.shape[1])]
    bundle = bundle_core.compose([bundle_core.convert(case.model, features=names)], {"rank": "all"})
    path, live = folder / "model.pkl", live_frame(case.X, names)
    bundle_core.pack(bundle, path)
    predict = pickle.loads(path.read_bytes())
    expected = pd.Series(case.library()).rank(pct=True)
    agree = np.corrcoef(predict(live, None)["prediction"], expected)[0, 1] > 1 - 1e-9
    ours, library = best_times(lambda: predict(live, None), case.library)
    live.to_pickle(folder / "live.pkl")
    child = subprocess.run(
        [sys.executable, "-c", CHILD, path, folder / "live.pkl"], check=True, capture_output=True, text=True
    )
    facts = json.loads(child.stdout)
    return (
        f"| {label} | {library * 1000:.0f} ms | {ours * 1000:.1f} ms | **{ours / library:.3f}** | {aim:.2f} "
        f"| {path.stat().st_size / 1e6:.2f} MB | {facts['load_ms']} ms | {facts['peak_mb']} MB |"
        + ("" if agree else " predictions differ!")
    )


def main(words: list[str]) -> None:
    versions = f"Python {sys.version.split()[0]}, numpy {np.__version__}, pandas {pd.__version__}"
    print(f"{ROWS} rows, one thread; {versions}\n")
    print("| model | library | pickle | ratio | aim | size | load | memory of predict |\n|" + " --- |" * 8)
    for label, aim, make in ROWS_OF_THE_TABLE:
        if not words or any(word.lower() in label.lower() for word in words):
            with tempfile.TemporaryDirectory() as folder:
                print(measure(label, aim, make(), Path(folder)), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
