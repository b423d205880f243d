"""Makes the demo's files: `python -m server.demo.train` (needs lightgbm; about five minutes).

The data has the shape of Numerai's and none of its content: int8 features 0..4 in correlated groups, eras of about
6,500 rows, a weak signal in a few features and in pairs of them. The parameters are those of Numerai's example model.
"""

from __future__ import annotations

import json
import lzma
from pathlib import Path

import lightgbm
import numpy as np
import numpy.typing as npt
import pandas as pd

DATA = Path(__file__).parent / "data"
SEED = 20260101
TRAIN_FEATURES, LIVE_FEATURES = 740, 780
ERAS, ROWS_PER_ERA, LIVE_ROWS = 30, 6500, 6528
BENCHMARKS = ("v52_lgbm_ender20", "v52_lgbm_ender60", "v52_lgbm_cyrusd20")
WORDS = (
    "airy bold calm dusky early faint glad hazy inner jolly keen lucid mellow noble opal plain quiet rapid",
    "arable brisk coarse dappled earthen foggy gilded humble ivory jaunty knotty limpid mossy neat oaken",
    "anchor basin cedar delta ember fjord grove harbor islet juniper kelp ledge meadow nectar orchard",
)

Features = npt.NDArray[np.int8]


def main() -> None:
    """Train, predict, write every file of the demo, and say how large they are."""
    random = np.random.default_rng(SEED)
    names = feature_names(random)
    weights = signal(random)
    train, target = eras(random, weights, ERAS * ROWS_PER_ERA)
    model = lightgbm.LGBMRegressor(
        n_estimators=2000,
        learning_rate=0.01,
        max_depth=5,
        num_leaves=31,
        colsample_bytree=0.1,
        random_state=SEED,
        deterministic=True,
        force_row_wise=True,
        verbose=-1,
    )
    model.fit(pd.DataFrame(train[:, :TRAIN_FEATURES], columns=names[:TRAIN_FEATURES]), target)

    values, truth = eras(random, weights, LIVE_ROWS)
    live = live_frame(random, names, values)
    scores = np.asarray(model.booster_.predict(live[names[:TRAIN_FEATURES]].to_numpy(), num_threads=1))

    DATA.mkdir(exist_ok=True)
    text = model.booster_.model_to_string()
    (DATA / "model.txt.xz").write_bytes(lzma.compress(text.encode(), preset=9 | lzma.PRESET_EXTREME))
    live.to_parquet(DATA / "live.parquet", compression="zstd", compression_level=19)
    benchmark_frame(random, live.index, truth).to_parquet(DATA / "live_benchmark_models.parquet", compression="zstd")
    pd.DataFrame({"prediction": scores}, index=live.index).to_parquet(DATA / "lightgbm_predictions.parquet")
    sets = {"small": names[:42], "medium": names[:TRAIN_FEATURES], "all": names}
    (DATA / "features.json").write_text(json.dumps({"feature_sets": sets, "targets": ["target_ender_20"]}))
    for path in sorted(DATA.iterdir()):
        print(f"{path.stat().st_size / 1e6:6.2f} MB  {path.name}")
    print(f"correlation with the truth on live rows: {np.corrcoef(scores, truth)[0, 1]:.3f}")


def feature_names(random: np.random.Generator) -> list[str]:
    """Distinct names in the style of Numerai's: feature_ADJECTIVE_ADJECTIVE_NOUN."""
    first, second, third = (words.split() for words in WORDS)
    every = [f"feature_{a}_{b}_{c}" for a in first for b in second for c in third]
    return [every[i] for i in random.permutation(len(every))[:LIVE_FEATURES]]


def signal(random: np.random.Generator) -> npt.NDArray[np.float64]:
    """Weights (LIVE_FEATURES,) of the linear part; nine features in ten have none."""
    weights = random.normal(size=LIVE_FEATURES)
    weights[random.random(LIVE_FEATURES) < 0.9] = 0.0
    weights[TRAIN_FEATURES:] = 0.0
    return weights


def eras(
    random: np.random.Generator, weights: npt.NDArray[np.float64], rows: int
) -> tuple[Features, npt.NDArray[np.float64]]:
    """Features (rows, LIVE_FEATURES) int8 0..4 in correlated groups of 20, and targets (rows,) in steps of 0.25."""
    groups = random.normal(size=(rows, LIVE_FEATURES // 20)).astype(np.float32)
    values = np.empty((rows, LIVE_FEATURES), np.int8)
    for i in range(LIVE_FEATURES):
        noisy = 0.6 * groups[:, i // 20] + 0.8 * random.standard_normal(rows, np.float32)
        values[:, i] = np.searchsorted([-0.8416, -0.2533, 0.2533, 0.8416], noisy)
    active = np.flatnonzero(weights)
    score = (values[:, active] - 2.0) @ weights[active]
    for i, j in zip(active[0:-1:2], active[1::2], strict=False):
        score += 0.5 * (values[:, i] - 2.0) * (values[:, j] > 2)
    score = score / score.std() + 3.0 * random.standard_normal(rows)
    edges = np.quantile(score, [0.05, 0.25, 0.75, 0.95])
    return values, np.searchsorted(edges, score) * 0.25


def live_frame(random: np.random.Generator, names: list[str], values: Features) -> pd.DataFrame:
    """A live frame as Numerai serves it: index `id`, era, data_type, int8 features in an order of its own."""
    ids = pd.Index([f"n{v:015x}" for v in random.choice(2**48, LIVE_ROWS, replace=False)], name="id")
    live = pd.DataFrame(values, columns=names, index=ids)[[names[i] for i in random.permutation(LIVE_FEATURES)]]
    live.insert(0, "data_type", "live")
    live.insert(0, "era", "X")
    return live


def benchmark_frame(random: np.random.Generator, ids: pd.Index, truth: npt.NDArray[np.float64]) -> pd.DataFrame:
    """Benchmark predictions in (0, 1), rows in another order than the live rows, a few ids missing."""
    frame = pd.DataFrame(index=ids)
    frame["era"] = "X"
    for name in BENCHMARKS:
        score = pd.Series(0.1 * truth + random.standard_normal(len(ids)), index=ids)
        frame[name] = score.rank(pct=True) * 0.999
    kept = random.permutation(len(ids))[: len(ids) - 37]
    return frame.iloc[kept]


if __name__ == "__main__":
    main()
