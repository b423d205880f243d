"""A forest whose own pickle does not fit: 30,000 trees of depth 10 with about 1,000 leaves each.

Run: python tests/benchmarks/large.py [--trees 30000]. A trained model's trees are repeated in a model text of 2 GB; the
Python of the 3.12 image converts and packs it; the pickle runs in the container with 1 CPU and 4 GB, and in that Python
alone, which tells load, prediction and memory apart. Needs docker with the image, 4 GB of disk, and some minutes.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import anyio
import lightgbm
import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2]))
sys.path.insert(0, str(Path(__file__).parent))
from predict import CHILD, ROWS, live_frame, numerai_rows, repeated

from server.runners.container import run_in_container
from server.runners.types import DockerImage, RunRequest
from server.runners.venv import make_venv

ROOT = Path(__file__).parents[2]
IMAGE = DockerImage(None, "Python 3.12", "numerai_predict_py_3_12", "a78dedd")
FEATURES = 740
TRAINED_TREES = 20
BUILD = """
import json, sys, time
from pathlib import Path
import bundle_core

begin = time.perf_counter()
names = [f"feature_{i}" for i in range(int(sys.argv[3]))]
bundle = bundle_core.compose([bundle_core.convert(Path(sys.argv[1]), features=names)], {"rank": "all"})
bundle_core.pack(bundle, Path(sys.argv[2]))
peak = next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(json.dumps({"seconds": time.perf_counter() - begin, "peak_gb": peak / 1e6}))
"""
AS_PICKLE = "import pandas, sys; pandas.read_parquet(sys.argv[1]).to_pickle(sys.argv[2]); print({})"


def write_model(path: Path, trees: int) -> float:
    """Write the model text and return a tree's mean number of leaves."""
    X, y = numerai_rows(40_000, FEATURES)
    settings = {"max_depth": 10, "num_leaves": 1024, "min_data_in_leaf": 5, "learning_rate": 0.01, "verbose": -1}
    booster = lightgbm.train(
        {**settings, "feature_fraction": 0.1}, lightgbm.Dataset(X.astype(np.float32), y), TRAINED_TREES
    )
    with path.open("w") as out:
        out.writelines(repeated(booster.model_to_string(), trees))
    return float(np.mean([tree["num_leaves"] for tree in booster.dump_model()["tree_info"]]))


async def measure(trees: int, folder: Path) -> None:
    model, pickle, live = folder / "model.txt", folder / "model.pkl", folder / "live.parquet"
    leaves = write_model(model, trees)
    print(f"{trees:,} trees of {leaves:.0f} leaves, a text of {model.stat().st_size / 1e9:.2f} GB", flush=True)
    venv = await make_venv(folder / "venv", IMAGE, cache_dir=folder)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}

    def child(source: str, *arguments: object) -> dict[str, float]:
        command = [str(venv.interpreter), "-c", source, *map(str, arguments)]
        return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, env=environment).stdout)

    built = child(BUILD, model, pickle, FEATURES)
    size = pickle.stat().st_size
    print(f"text to pickle     {built['seconds']:6.0f} s (aim 180), peak {built['peak_gb']:.2f} GB (aim 3)", flush=True)
    frame = live_frame(numerai_rows(ROWS, FEATURES, 1)[0], [f"feature_{i}" for i in range(FEATURES)])
    frame.to_parquet(live)
    child(AS_PICKLE, live, folder / "live.pkl")
    run = child(CHILD, pickle, folder / "live.pkl")
    print(f"pickle             {size / 1e6:6.0f} MB, loads in {run['load_ms'] / 1000:.2f} s (aim 1)")
    print(
        f"predict            {run['predict_ms'] / 1000:6.1f} s (aim 15), {run['peak_mb']} MB beside the model (aim 64)"
    )
    output = folder / "output"
    output.mkdir()
    report = await run_in_container(RunRequest(pickle, live, live, output), IMAGE)
    print(
        f"in the container   {report.seconds:6.1f} s with Python's start and load, exit {report.exit_code}, "
        f"predictions {'written' if report.predictions_csv else 'missing'}, peak {report.peak_memory_mb or 0:.0f} MB"
    )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--trees", type=int, default=30_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        anyio.run(measure, options.trees, Path(name))


if __name__ == "__main__":
    main()
