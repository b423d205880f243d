"""The first row of predict.py's table against its peers: the library's own pickle, lleaves, treelite, m2cgen.

Run: python tests/benchmarks/peers.py. Peers that are not installed are named and left out. lleaves needs llvmlite 0.44,
so it is best run in an environment of its own. m2cgen's Python code is tried on a tenth of the trees, as the module of
all of them takes minutes to compile.
"""

from __future__ import annotations

import importlib.util
import pickle
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).parent))
from predict import live_frame, numerai_rows

import bundle_core

ROWS, FEATURES, TREES = 6500, 740, 2000

Measured = tuple[Callable[[], Any], int, float]
"""How to predict, the bytes that have to be shipped, and the seconds until the first prediction can be made."""


def trained(folder: Path) -> Path:
    X, y = numerai_rows(20_000, FEATURES)
    settings = {"learning_rate": 0.01, "feature_fraction": 0.1, "max_depth": 5, "verbose": -1}
    path = folder / "model.txt"
    lightgbm.train(settings, lightgbm.Dataset(X.astype(np.float32), y), TREES).save_model(path)
    return path


def ours(model: Path, X: np.ndarray, folder: Path) -> Measured:
    names = [f"feature_{i}" for i in range(FEATURES)]
    bundle = bundle_core.compose([bundle_core.convert(model, features=names)], {"rank": "all"})
    bundle_core.pack(bundle, folder / "model.pkl")
    live = live_frame(X, names)
    predict, seconds = loaded(folder / "model.pkl")
    return lambda: predict(live, None), (folder / "model.pkl").stat().st_size, seconds


def lightgbm_pickle(model: Path, X: np.ndarray, folder: Path) -> Measured:
    path = folder / "lightgbm.pkl"
    path.write_bytes(pickle.dumps(lightgbm.Booster(model_file=model)))
    booster, seconds = loaded(path)
    liked = np.ascontiguousarray(X, np.float32)
    return lambda: booster.predict(liked, num_threads=1), path.stat().st_size, seconds


def lleaves(model: Path, X: np.ndarray, folder: Path) -> Measured:
    import lleaves as library

    begin = time.perf_counter()
    compiled = library.Model(model_file=str(model))
    compiled.compile(cache=str(folder / "lleaves.o"))
    seconds = time.perf_counter() - begin
    liked = np.ascontiguousarray(X, np.float64)
    return lambda: compiled.predict(liked, n_jobs=1), (folder / "lleaves.o").stat().st_size, seconds


def treelite(model: Path, X: np.ndarray, folder: Path) -> Measured:
    import treelite as library

    begin = time.perf_counter()
    loaded_model = library.frontend.load_lightgbm_model(model)
    seconds = time.perf_counter() - begin
    liked = np.ascontiguousarray(X, np.float64)
    size = len(loaded_model.serialize_bytes())
    return lambda: library.gtil.predict(loaded_model, liked, nthread=1), size, seconds


def m2cgen(model: Path, X: np.ndarray, folder: Path) -> Measured:
    import m2cgen as library

    text = lightgbm.Booster(model_file=model).model_to_string(num_iteration=TREES // 10)
    regressor = lightgbm.LGBMRegressor()
    regressor._Booster, regressor.fitted_, regressor._n_features = lightgbm.Booster(model_str=text), True, FEATURES
    code = library.export_to_python(regressor)
    begin = time.perf_counter()
    namespace: dict[str, Any] = {}
    exec(compile(code, "m2cgen", "exec"), namespace)
    seconds = time.perf_counter() - begin
    rows = X.tolist()
    return lambda: [namespace["score"](row) for row in rows], len(code), seconds


def loaded(path: Path) -> tuple[Any, float]:
    begin = time.perf_counter()
    value = pickle.loads(path.read_bytes())
    return value, time.perf_counter() - begin


PEERS: dict[str, tuple[str, Callable[[Path, np.ndarray, Path], Measured]]] = {
    "this project's pickle, whole predict": ("bundle_core", ours),
    "LightGBM's own pickle": ("lightgbm", lightgbm_pickle),
    "lleaves (compiled)": ("lleaves", lleaves),
    "treelite gtil": ("treelite", treelite),
    "m2cgen Python, a tenth of the trees": ("m2cgen", m2cgen),
}


def main() -> None:
    X = numerai_rows(ROWS, FEATURES, 1)[0]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model = trained(folder)
        runs: dict[str, Measured] = {}
        for label, (module, prepare) in PEERS.items():
            if importlib.util.find_spec(module) is None:
                print(f"{module} is not installed")
            else:
                runs[label] = prepare(model, X, folder)
        seconds: dict[str, list[float]] = {label: [] for label in runs}
        for _ in range(3):
            for label, (predict, _, _) in runs.items():
                begin = time.process_time()
                predict()
                seconds[label].append(time.process_time() - begin)
        table = pd.DataFrame(
            {
                "predict ms": {label: min(times) * 1000 for label, times in seconds.items()},
                "ship MB": {label: size / 1e6 for label, (_, size, _) in runs.items()},
                "ready after ms": {label: ready * 1000 for label, (_, _, ready) in runs.items()},
            }
        )
        table["ratio to LightGBM"] = table["predict ms"] / table.loc["LightGBM's own pickle", "predict ms"]
        print(table.round(3).to_string())


if __name__ == "__main__":
    main()
