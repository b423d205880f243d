"""Makes small_forest.txt, a LightGBM model of 8 trees on 6 features, and live.parquet, 40 rows for it."""

from pathlib import Path

import lightgbm
import numpy as np
import pandas as pd

HERE = Path(__file__).parent
NAMES = [f"feature_{word}" for word in ("alder", "birch", "cedar", "dogwood", "elder", "fir")]


def main() -> None:
    random = np.random.default_rng(7)
    values = random.integers(0, 5, (2000, len(NAMES))).astype(np.int8)
    target = 0.5 + 0.1 * (values[:, 0] > 2) - 0.05 * values[:, 3] / 4 + 0.01 * random.standard_normal(2000)
    data = lightgbm.Dataset(pd.DataFrame(values, columns=NAMES), target)
    options = {"num_leaves": 6, "verbose": -1, "seed": 7, "deterministic": True}
    lightgbm.train(options, data, num_boost_round=8).save_model(HERE / "small_forest.txt")
    index = pd.Index([f"n{i:015x}" for i in random.choice(2**40, 40, replace=False)], name="id")
    live = pd.DataFrame(values[:40], columns=NAMES, index=index)
    live.insert(0, "era", ["X"] * 40)
    live.to_parquet(HERE / "live.parquet")


if __name__ == "__main__":
    main()
