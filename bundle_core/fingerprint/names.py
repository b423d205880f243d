"""Names of Numerai's columns among the texts of a pickle."""

from __future__ import annotations

import re
from collections.abc import Iterable

from bundle_core.fingerprint.bytecode import Code
from bundle_core.fingerprint.stream import Blob

MAX_NAMES = 5_000

_FEATURE = re.compile(r"(?<![\w/.-])feature_[a-z0-9]\w{0,120}", re.ASCII)
_BENCHMARK = re.compile(r"(?<![\w/.-])v\d{1,3}_[a-z]\w{0,60}", re.ASCII)
_COLUMN = re.compile(r"(?:era|data_type|target\w{0,60}|id|prediction|probability)\Z", re.ASCII)
_PLAIN = re.compile(r"[\w.<>*]{1,120}\Z")
# What LightGBM, XGBoost, scikit-learn and people call other things: feature_names_in_, feature_fraction_seed.
_NO_COLUMN = re.compile(
    r"feature_(?:name|importance|info|fraction|pre|contri|type|weight|segment|set|col|column|list|range|index|indice|idx"
    r"|count|perturbation|dim|size|map|matrix|group|subset)s?(?:_[a-z]*){0,2}\Z"
)


def plain(name: str) -> str:
    """A dotted name of code as it is; anything else that a hostile pickle puts in its place is not repeated."""
    return name if _PLAIN.match(name) else "(not a name)"


class Names:
    """Collects the names; `features`, `benchmarks` and `columns` hold at most MAX_NAMES and some each."""

    def __init__(self) -> None:
        self.features: set[str] = set()
        self.benchmarks: set[str] = set()
        self.columns: set[str] = set()

    def read(self, text: str | bytes | Blob) -> None:
        """Look for names in one text, or in bytes that hold a text."""
        if isinstance(text, Blob):
            text = text.head
        if isinstance(text, bytes):
            # numpy keeps texts of fixed width as four bytes a character.
            text = (text.replace(b"\0\0\0", b"") if b"\0\0\0" in text[:64] else text).decode("latin-1")
            if not "".join(text[:32].replace("\0", "").split()).isprintable():
                return
        if "feature_" in text and len(self.features) < MAX_NAMES:
            found = _FEATURE.findall(text)[:MAX_NAMES]
            self.features.update(name for name in found if not _NO_COLUMN.match(name))
        if "v" in text and len(self.benchmarks) < MAX_NAMES:
            self.benchmarks.update(_BENCHMARK.findall(text)[:MAX_NAMES])
        if len(text) < 80 and _COLUMN.match(text):
            self.columns.add(text)

    def without_identifiers(self, codes: Iterable[Code]) -> None:
        """Take out what functions only use as names of variables and attributes."""
        for code in codes:
            self.features.difference_update(code.names, code.varnames)
            self.benchmarks.difference_update(code.names, code.varnames)
