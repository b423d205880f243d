"""What of a packed script would fail in Numerai's container: no network, no files, the image's packages, a CPU."""

from __future__ import annotations

import re
import types
from collections.abc import Callable, Iterable, Sequence
from importlib.metadata import packages_distributions
from typing import Any, Literal

from bundle_core.fingerprint import Fingerprint
from bundle_core.reports import Finding

_Severity = Literal["refused", "warning"]
_READS_FILES: dict[str, _Severity] = {
    **dict.fromkeys(("open", "read_csv", "read_parquet", "read_pickle", "read_json", "read_feather"), "refused"),
    **dict.fromkeys(("load_model", "loadtxt"), "refused"),
    **dict.fromkeys(("load", "__file__", "read_text", "read_bytes", "from_pretrained"), "warning"),
}
"""Names that code uses to read files, and how sure that is."""
_NETWORK = ("urlopen", "urlretrieve", "NumerAPI", "create_connection", "download_dataset")
_NETWORK_PACKAGES = ("requests", "httpx", "aiohttp", "urllib3", "numerapi", "boto3", "wandb", "mlflow")
_CONTAINER = "docs/model-uploads: no network, nothing of the user's machine"


class Contents:
    """What went into a pickle, as far as it matters here."""

    def __init__(self) -> None:
        self.names: dict[str, str] = {}
        """Global and attribute names that code uses, with the function that does."""
        self.pandas: list[str] = []
        self.gpu: list[str] = []

    def watch(self, obj: object) -> None:
        """Called for every object that is pickled."""
        if isinstance(obj, types.CodeType):
            where = f"{obj.co_name} in {obj.co_filename}, line {obj.co_firstlineno}"
            for name in obj.co_names:
                self.names.setdefault(name, where)
            return
        kind = type(obj)
        if kind.__module__.partition(".")[0] == "pandas":
            self.pandas.append(kind.__qualname__)
        device: Any = getattr(obj, "device", None) if kind.__module__.partition(".")[0] in ("torch", "cupy") else None
        if device is not None and not isinstance(obj, type) and str(device) != "cpu":
            self.gpu.append(f"{kind.__qualname__} on {device}")


def find(
    fingerprint: Fingerprint, contents: Contents, is_own: Callable[[str], bool], image_packages: Sequence[str] | None
) -> list[Finding]:
    """Findings; those with severity "refused" would fail for certain or nearly so.

    `is_own` tells of a top-level module whether it is the user's; `image_packages` are the image's distributions.
    """
    return [
        *_packages(fingerprint, is_own, image_packages),
        *_captured(fingerprint, contents),
        *_outside(fingerprint, contents),
    ]


def _packages(
    fingerprint: Fingerprint, is_own: Callable[[str], bool], image_packages: Sequence[str] | None
) -> Iterable[Finding]:
    known = {_normal(name) for name in image_packages or ()}
    distributions = packages_distributions()
    for item in fingerprint.imports:
        if is_own(item.package):
            yield _finding(
                "own_import",
                "refused" if item.certain else "warning",
                f"{item.module} is imported while predict runs, and the container has none of your modules",
                f"import {item.module}",
                f"Move the import of {item.module} to the top of the file: it is then stored with the pickle.",
            )
        elif image_packages is not None and not item.standard_library and item.package != "cloudpickle":
            names = distributions.get(item.package, [item.package])
            if not any(_normal(name) in known for name in names):
                yield _finding(
                    "missing_package",
                    "refused" if item.certain or item.when == "load" else "warning",
                    f"the image has no {item.package}",
                    f"{item.module}, needed to {item.when}",
                    f"Do without {item.package}, or convert the model with build_pickle(model_path=...).",
                )


def _captured(fingerprint: Fingerprint, contents: Contents) -> Iterable[Finding]:
    pandas = sorted({*contents.pandas, *fingerprint.pandas_objects})
    if pandas:
        yield _finding(
            "pandas_object",
            "refused",
            "a pandas object is stored inside the pickle, which another pandas may not read",
            ", ".join(pandas[:5]),
            "Keep lists, dicts and numpy arrays instead: list(frame.columns), series.to_numpy().",
        )
    gpu = sorted({*contents.gpu, *fingerprint.gpu_objects})
    if gpu:
        yield _finding(
            "gpu_object",
            "refused",
            "something on a GPU is stored inside the pickle, and the container has none",
            ", ".join(gpu[:5]),
            "Move it first: model.cpu(), or weights as numpy arrays.",
        )
    if fingerprint.hides_failures:
        yield _finding(
            "random_fallback",
            "refused",
            "predict catches every error and draws random numbers, so a failure becomes a random submission",
            "a broad except together with random numbers",
            "Let the error out: a failed round is seen, a random one is not.",
        )


def _outside(fingerprint: Fingerprint, contents: Contents) -> Iterable[Finding]:
    for name, severity in _READS_FILES.items():
        if name in contents.names:
            yield _finding(
                "reads_files",
                severity,
                "predict reads a file, and the container has none of yours",
                f"{name} in {contents.names[name]}",
                "Read the file at the top of the script: what predict uses of it is stored with the pickle.",
            )
    for name in _NETWORK:
        if name in contents.names:
            yield _finding(
                "uses_network",
                "refused",
                "predict uses the network, and the container has none",
                f"{name} in {contents.names[name]}",
                "Do it before packing and keep the result in a variable.",
            )
    for package in sorted({item.package for item in fingerprint.imports} & {*_NETWORK_PACKAGES}):
        yield _finding(
            "uses_network",
            "warning",
            f"the pickle imports {package}, which is there for the network, and the container has none",
            f"import {package}",
            "Leave it out of what predict uses.",
        )


def _finding(id: str, severity: _Severity, cause: str, evidence: str, next_step: str) -> Finding:
    return Finding(id, severity, "container", cause, evidence, next_step, _CONTAINER)


def _normal(name: str) -> str:
    """A distribution's name as PyPI compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()
