"""Run a pickled predict function on one live round, by the contract of numerai/numerai-predict's `predict.py`.

A standalone script: it is the entry point of the stand-in image and what the venv runner starts. Options, log lines,
checks and exit codes are those of Numerai's script, its gaps included: the column's name, the index, duplicates and
missing rows are not looked at. It downloads nothing, so `--dataset` and `--benchmarks` are required, and it posts
nothing: `--post_url` and `--post_data` are accepted and unused.
"""

from __future__ import annotations

import argparse
import logging
import pickle
import secrets
import sys
from collections.abc import Callable
from inspect import signature
from pathlib import Path
from typing import Any, NoReturn

import pandas as pd

PYTHON = ".".join(str(part) for part in sys.version_info[:2])
log = logging.getLogger("predict")


def main() -> None:
    """Load, predict, check, save. Exits 1 where the pickle is refused, 0 otherwise."""
    options = parse_options()
    logging.basicConfig(
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
        level=logging.DEBUG if options.debug else logging.INFO,
        stream=sys.stderr,
    )
    model = load_model(options.model)
    parameters = len(signature(model).parameters)
    live_features = pd.read_parquet(options.dataset)
    live_benchmark_models = pd.read_parquet(options.benchmarks)

    log.info("Predicting on %d rows of live features", len(live_features))
    try:
        if parameters not in (1, 2):
            refuse(f"Invalid pickle function - {model} must have 1 or 2 arguments")
        arguments = (live_features, live_benchmark_models)[:parameters]
        predictions = model(*arguments)
        check(predictions)
    except TypeError as error:
        # Numerai's script takes every TypeError for a wrong function, wherever in it the error arose.
        log.debug("Exception in predict", exc_info=True)
        refuse(f"Pickle function is invalid - {error}")
    except Exception as error:
        log.exception(error)
        refuse("Model failed to generate a live output!")
    log.info("Generated %d predictions", len(predictions))
    log.debug(predictions)
    save(predictions, Path(options.output_dir))


def parse_options() -> argparse.Namespace:
    """The options of Numerai's script."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", default="model.pkl")
    parser.add_argument("--dataset", required=True)
    parser.add_argument("--benchmarks", required=True)
    parser.add_argument("--output_dir", default="/tmp")
    parser.add_argument("--post_url")
    parser.add_argument("--post_data")
    parser.add_argument("--debug", action="store_true")
    return parser.parse_args()


def load_model(path: str) -> Callable[..., Any]:
    """Unpickle as Numerai does: `pd.read_pickle` retries with its own unpickler, which can mask the first error."""
    log.info("Loading model %s", path)
    try:
        model: Any = pd.read_pickle(path)
    except pickle.UnpicklingError as error:
        refuse(f"Invalid pickle - {error}")
    except ImportError as error:
        refuse(f"Import error reading pickle - {error}")
    except TypeError as error:
        log.exception(error)
        refuse(f"Pickle incompatible with {PYTHON}")
    log.debug(model)
    return model


def check(predictions: Any) -> None:
    """Numerai's own checks of what predict returned: the type, rows, no NaN, and the first column within [0, 1]."""
    if predictions is None:
        refuse("Pickle function is invalid - returned None")
    if type(predictions) is not pd.DataFrame:
        refuse(f"Pickle function is invalid - returned {type(predictions)} instead of pd.DataFrame")
    if len(predictions) == 0:
        refuse("Pickle function is invalid - returned 0 predictions")
    if predictions.isna().any().any():
        refuse("Pickle function is invalid - returned at least 1 NaN prediction")
    first = predictions.iloc[:, 0]
    if not ((first >= 0) & (first <= 1)).all():
        refuse("Pickle function returned invalid predictions. Ensure values are between 0 and 1.")


def save(predictions: pd.DataFrame, folder: Path) -> None:
    """Write the CSV. A failure is logged and exits 0, as in Numerai's script."""
    path = folder / f"live_predictions-{secrets.token_hex(6)}.csv"
    log.info("Saving predictions to %s", path)
    try:
        predictions.to_csv(path)
    except OSError as error:
        log.error("Error writing predictions to CSV: %s", error)


def refuse(message: str) -> NoReturn:
    """Log why the pickle is refused and exit 1."""
    log.error(message)
    sys.exit(1)


if __name__ == "__main__":
    main()
