"""A target ensemble of two 2,000-tree models, neutralized to 300 features, against the notebook's own function.

Both run in this process, one after the other in every round; the best rounds count, in CPU time of all threads.
Run: python tests/benchmarks/ensemble.py
"""

from __future__ import annotations

import lzma
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightgbm
import pandas as pd
from numerai_tools.scoring import neutralize

sys.path.insert(0, str(Path(__file__).parents[2]))
import bundle_core
import server.demo

ROUNDS = 5
DATA = Path(server.demo.__file__).parent / "data"


def main() -> None:
    live = pd.read_parquet(DATA / "live.parquet").head(6500)
    text = lzma.decompress((DATA / "model.txt.xz").read_bytes()).decode()
    boosters = [lightgbm.Booster(model_str=text) for _ in range(2)]
    features = boosters[0].feature_name()
    subset = features[:300]

    def notebook(live_features: pd.DataFrame) -> pd.DataFrame:
        predictions = pd.DataFrame(index=live_features.index)
        for i, booster in enumerate(boosters):
            predictions[i] = booster.predict(live_features[features], num_threads=1)
        ensemble = predictions.rank(pct=True).mean(axis=1).to_frame("prediction")
        return neutralize(ensemble, live_features[subset], proportion=1.0).rank(pct=True)

    pipeline = {"rank_each": "all", "neutralize": {"to": subset}, "rank": "all"}
    bundle = bundle_core.compose([bundle_core.convert(DATA / "model.txt.xz")] * 2, pipeline)
    ours = predict_of(bundle)
    assert (ours(live)["prediction"] - notebook(live)["prediction"]).abs().max() < 1e-9
    best = {"notebook": float("inf"), "bundle": float("inf")}
    for _ in range(ROUNDS):
        best["notebook"] = min(best["notebook"], seconds(notebook, live))
        best["bundle"] = min(best["bundle"], seconds(ours, live))
    print(f"notebook {best['notebook'] * 1e3:.0f} ms, bundle {best['bundle'] * 1e3:.0f} ms on {len(live)} rows")
    print(f"ratio {best['bundle'] / best['notebook']:.3f}")


def predict_of(bundle: Any) -> Callable[[pd.DataFrame], pd.DataFrame]:
    """The function that the pickle holds."""
    from bundle_core.plan import make_plan
    from bundle_core.runtime.predict import build

    predict = build(make_plan(bundle))
    return lambda live: predict(live, None)


def seconds(function: Callable[[pd.DataFrame], Any], live: pd.DataFrame) -> float:
    started = time.process_time()
    function(live)
    return time.process_time() - started


if __name__ == "__main__":
    main()
