"""Kinds of files, and generations and devices of the libraries that wrote objects."""

from __future__ import annotations

from typing import Literal

from bundle_core.fingerprint.machine import Group, Ref, Symbol, Trace
from bundle_core.fingerprint.report import FileKind
from bundle_core.fingerprint.stream import Blob

_COMPRESSED = {
    b"\x1f\x8b": "gzip",
    b"BZh": "bzip2",
    b"\xfd7zXZ": "xz",
    b"\x28\xb5\x2f\xfd": "zstandard",
    b"\x78\x01": "zlib",
    b"\x78\x5e": "zlib",
    b"\x78\x9c": "zlib",
    b"\x78\xda": "zlib",
    b"\x5d\0\0": "lzma",
    b"\x04\x22\x4d\x18": "lz4",
}
_MAX_LOOKED_AT = 20_000
_GPU_WORDS = (b"cuda", b"gpu_hist", b"gpu_predictor")


def recognise(head: bytes, size: int) -> tuple[FileKind, str]:
    """The kind of a file by its first bytes, and what is wrong with it where it is no pickle."""
    if not size:
        return "empty", "The file is empty."
    for magic, name in _COMPRESSED.items():
        if head.startswith(magic):
            return "compressed", f"The file is compressed ({name})."
    if head.startswith(b"PK\x03\x04"):
        return "archive", "The file is a zip archive, as torch.save and numpy.savez write them, not a pickle."
    if head.startswith((b"\x93NUMPY", b"\x89HDF", b"PAR1")):
        return "archive", "The file is a data file (numpy, HDF5 or parquet), not a pickle."
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n")
    if text[:1] == b"<":
        return "html", "The file is a web page or an XML message saved under this name, not a pickle."
    if text.startswith(b"version https://git-lfs"):
        return "text", "The file is a Git LFS pointer: the real file was not downloaded."
    if text.startswith((b"{", b"tree\n", b"[")):
        return "text", "The file is text (JSON or a LightGBM model), not a pickle."
    if head[:1] == b"\x80" or head[:1] in b"(]}cCINSVGFLMKJTUX)":
        return "pickle", ""
    return "unknown", "The file does not begin like a pickle."


def numpy_generation(trace: Trace) -> Literal["1", "2"] | None:
    """numpy 2 names its arrays' makers in numpy._core, numpy 1 in numpy.core."""
    modules = {module for module, _ in trace.refs}
    if any(module.startswith("numpy._core") for module in modules):
        return "2"
    return "1" if any(module.startswith("numpy.core") for module in modules) else None


def pandas_generation(trace: Trace) -> Literal["2", "3"] | None:
    """pandas 3 keeps texts in its own string type, with a missing value of its choice as a second argument."""
    if not any(module.startswith("pandas.") for module, _ in trace.refs):
        return None
    for made in trace.calls:
        args = made.args.items if isinstance(made.args, Group) else []
        if isinstance(made.func, Ref) and made.func.name == "StringDtype" and len(args) > 1:
            return "3"
    return "2"


def gpu_objects(trace: Trace) -> tuple[str, ...]:
    """Classes of the objects that name a CUDA device, and everything of cupy and cudf."""
    found: set[str] = set()
    modules = {module.partition(".")[0] for module, _ in trace.refs}
    found |= modules & {"cupy", "cudf", "cuml"}
    if not modules & {"torch", "xgboost", "catboost", "lightgbm"}:
        return tuple(sorted(found))
    looked_at = 0
    for made in trace.calls:
        if looked_at > _MAX_LOOKED_AT or not isinstance(made.func, Ref):
            continue
        near = _near(made.args) + _near(made.state)
        looked_at += len(near)
        if any(_is_gpu_text(item) for item in near):
            found.add(str(made.func))
    return tuple(sorted(found))


def _near(part: Symbol) -> list[str | bytes | Blob]:
    """Texts and bytes right in a container, and in the containers in it."""
    items = part.items[:200] if isinstance(part, Group) else [part]
    items = items + [inner for item in items if isinstance(item, Group) for inner in item.items[:50]]
    return [item for item in items if isinstance(item, (str, bytes, Blob))]


def _is_gpu_text(item: str | bytes | Blob) -> bool:
    head = (item.head if isinstance(item, Blob) else item)[:65_536]
    if isinstance(head, str):
        head = head.encode("utf-8", "replace")
    return any(word in head for word in _GPU_WORDS)
