"""Samples, benchmarks and references from parquet or CSV files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from bundle_core.errors import DataInvalid

if TYPE_CHECKING:
    import pandas as pd

SAMPLE_ROWS = 20_000
"""A few live eras: a whole validation file would need more memory than it proves."""
_SCORE_COLUMNS = ("raw", "raw_score", "score", "scores", "prediction", "predictions", "probability")


def read_frame(path: Path) -> pd.DataFrame:
    """A parquet or CSV file with its rows' ids as the index. Raises DataInvalid."""
    try:
        import pandas as pd
    except ImportError as error:
        raise DataInvalid(
            f"{path.name} cannot be read: this Python has no pandas.",
            next_step="Install pandas and pyarrow there, or leave the file out.",
        ) from error
    try:
        frame = pd.read_csv(path) if path.suffix in (".csv", ".gz") else pd.read_parquet(path)
    except ImportError as error:
        raise DataInvalid(
            f"{path.name} cannot be read: this Python has no parquet reader.",
            evidence=str(error).splitlines()[0],
            next_step="Install pyarrow there, or give the file as CSV.",
        ) from error
    except (OSError, ValueError, UnicodeError) as error:
        raise DataInvalid(
            f"{path.name} is no readable parquet or CSV file.",
            evidence=f"{type(error).__name__}: {str(error)[:200]}",
            next_step="Give a file that pandas reads.",
        ) from None
    if "id" in frame.columns:
        frame = frame.set_index("id")
    if not len(frame):
        raise DataInvalid(f"{path.name} has no rows.", next_step="Give a file with live-shaped rows.")
    return frame


def read_sample(path: Path) -> pd.DataFrame:
    """The first SAMPLE_ROWS rows of live-shaped rows. Raises DataInvalid."""
    return read_frame(path).head(SAMPLE_ROWS)


def read_reference(path: Path, live_index: Any, source: str) -> npt.NDArray[np.float64]:
    """(n,) The raw scores of one source in the order of `live_index`.

    The column is the one named as the source, else one with a usual name (score, prediction, ...), else the only
    numeric one. Raises DataInvalid where that leaves no column or several, or where an id has no score.
    """
    frame = read_frame(path)
    numeric = [str(name) for name in frame.select_dtypes("number").columns]
    named = [name for name in numeric if name == source] or [name for name in numeric if name in _SCORE_COLUMNS]
    column = named[0] if len(named) == 1 else numeric[0] if len(numeric) == 1 else None
    if column is None:
        raise DataInvalid(
            f"{path.name} does not say which column holds the raw scores of {source}.",
            evidence=f"numeric columns: {', '.join(numeric[:10]) or 'none'}",
            next_step=f"Name one column {source!r} or 'raw_score'.",
        )
    if not frame.index.is_unique:
        raise DataInvalid(
            f"{path.name} has an id twice.",
            evidence=repr(frame.index[frame.index.duplicated()][0]),
            next_step="Give one raw score for each id.",
        )
    position = frame.index.get_indexer(live_index)
    if (position < 0).any():
        raise DataInvalid(
            f"{path.name} has no raw score for {int((position < 0).sum())} of {len(live_index)} ids of the sample.",
            evidence=f"the first is {live_index[position < 0][0]!r}; the file's first id is {frame.index[0]!r}",
            next_step="Save the source's own raw scores of exactly the sample's rows, by id.",
        )
    return frame[column].to_numpy(dtype=np.float64)[position]
