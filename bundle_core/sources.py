"""A source of a bundle: a model file, a pickled model object, or another bundle's model."""

from __future__ import annotations

import dataclasses
import lzma
import pickle
import sys
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bundle_core.bundle import is_bundle, load
from bundle_core.declared_network import DeclaredNetwork
from bundle_core.errors import ModelRefused
from bundle_core.frontends import HEAD_BYTES, opened, read_model, read_object, state_dict, torch_modules, weights
from bundle_core.ir import Model
from bundle_core.pipeline import invalid

_PICKLE = b"\x80"
_DAMAGE = (OSError, EOFError, ValueError, AttributeError, TypeError, LookupError, RuntimeError, pickle.UnpicklingError)
"""What unpickling raises for a damaged file or one of other versions of its library."""


@dataclass(frozen=True)
class NativeSource:
    """A model as the bundle will hold it, beside what its own library reads."""

    model: Model
    path: Path
    native: Any
    """The library's own object where the file is a pickle of it; None for a file that the library has yet to read."""
    is_bundle: bool


def read_source(path: Path, network: DeclaredNetwork | None) -> NativeSource:
    """Read one source. A pickle is loaded, which runs code in it: only in the user's own training interpreter.

    `network` declares the layers of weights by key. Raises ModelRefused, BundleInvalid, or PipelineInvalid for a bundle
    of several models.
    """
    if is_bundle(path):
        return NativeSource(_only_model(path), path, None, is_bundle=True)
    if _is_pickle(path):
        native = load_object(path)
        return NativeSource(read_native(native, network), path, native, is_bundle=False)
    model = read_model(path) if network is None else _declared(path, network)
    return NativeSource(model, path, None, is_bundle=False)


def read_native(native: Any, network: DeclaredNetwork | None) -> Model:
    """A fitted model object, or torch weights by key with declared layers. Raises ModelRefused or PipelineInvalid."""
    if network is None:
        return read_object(native)
    state = torch_modules.state_of(native)
    if state is None:
        raise invalid(
            "pipeline.network", f"declares layers of a {type(native).__name__}, no torch module or state dict"
        )
    if not network.layers and hasattr(native, "forward"):
        return torch_modules.read(native, network.output)
    return state_dict.read(state, network, "torch state dict")


def load_object(path: Path) -> Any:
    """The object in a pickle, joblib or torch file, with GPU weights on the CPU.

    Raises ModelRefused with the package that this Python lacks.
    """
    try:
        if zipfile.is_zipfile(path):
            return torch_modules.load(path)
        return torch_modules.without_gpu(lambda: _unpickled(path))
    except ImportError as error:
        raise ModelRefused(
            f"{path.name} needs a package that {sys.executable} lacks.",
            evidence=str(error),
            next_step="Give the Python that trained the model as training_python.",
        ) from error
    except _DAMAGE as error:
        raise ModelRefused(
            f"{path.name} cannot be unpickled.",
            evidence=f"{type(error).__name__}: {str(error)[:300]}",
            next_step="Give the Python that trained the model as training_python, or save the model in its library's "
            "own format. A torch module whose class the training script defines: save its state_dict() and declare "
            "its layers in pipeline.network.",
        ) from error


def _unpickled(path: Path) -> Any:
    try:
        import joblib  # pyright: ignore[reportMissingImports]
    except ImportError:
        with opened(path) as stream:
            return pickle.load(stream)
    return joblib.load(path)


def _declared(path: Path, network: DeclaredNetwork) -> Model:
    """A weights file with declared layers."""
    with opened(path) as stream:
        head = stream.read(HEAD_BYTES)
        stream.seek(0)
        if not weights.is_npz(head) and not weights.is_json(head):
            raise invalid("pipeline.network", f"declares layers, but {path.name} does not hold weights by key")
        return state_dict.read(weights.read_state(stream, head), network, "weights file")


def _is_pickle(path: Path) -> bool:
    try:
        with opened(path) as stream:
            magic = stream.read(2)
    except (OSError, EOFError, lzma.LZMAError, zlib.error):
        return False
    return magic[:1] == _PICKLE or magic in (b"x\x9c", b"x\x01", b"x^") or _is_torch(path)


def _is_torch(path: Path) -> bool:
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any(name.endswith("/data.pkl") for name in archive.namelist())


def _only_model(path: Path) -> Model:
    sources = load(path).sources
    if len(sources) != 1:
        raise invalid("pipeline.models", f"{path.name} is a bundle of {len(sources)} models; give their own files")
    return dataclasses.replace(sources[0].model, feature_names=sources[0].features)
