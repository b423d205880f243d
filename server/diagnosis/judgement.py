"""What a fingerprint means for an image and a data version, before anything runs.

`will_fail` is said only where no unpickler of the image, or no submission, can get past the point; everything that
depends on which way the code takes is `may_fail`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, Protocol

from bundle_core.fingerprint import Fingerprint, Import
from server.diagnosis.packages import provides
from server.diagnosis.untrusted import quote_foreign

NAMES_SHOWN = 8
# numpy 1.26 has these stubs of numpy 2's names; the rest of numpy._core it has not.
_NUMPY_1_STUBS = frozenset(
    f"numpy._core{part}"
    for part in ("", ".multiarray", "._multiarray_umath", "._internal", "._dtype", "._dtype_ctypes", ".umath")
)
_LOADS_ANYTHING = frozenset(
    ("exec", "eval", "compile", "__import__", "import_module", "ModuleType", "dynamic_subimport")
)


class Image(Protocol):
    """What is asked of a docker image."""

    @property
    def python_version(self) -> str | None: ...


class Packages(Protocol):
    """What is asked of an image's pins: normalised name -> version, and how they are known."""

    @property
    def versions(self) -> dict[str, str]: ...
    @property
    def source(self) -> str: ...


class Columns(Protocol):
    """The columns of a data version, as far as known; None where not."""

    @property
    def features(self) -> frozenset[str] | None: ...
    @property
    def benchmarks(self) -> frozenset[str] | None: ...


@dataclass(frozen=True)
class Finding:
    """One thing about a pickle: `will_fail`, `may_fail`, or a `note`. `id` is the catalogue's where it has one."""

    id: str
    verdict: Literal["will_fail", "may_fail", "note"]
    cause: str
    next_step: str


def judge(pickle: Fingerprint, image: Image, pins: Packages | None, columns: Columns | None = None) -> list[Finding]:
    """Findings about the pickle in the image, on a data version where its columns are given; worst first."""
    found = [
        *_file(pickle),
        *_python(pickle, image.python_version),
        *_libraries(pickle, pins),
        *_imports(pickle, pins),
        *_top(pickle),
        *_habits(pickle),
        *(_columns(pickle, columns) if columns else ()),
    ]
    order = ("will_fail", "may_fail", "note")
    return sorted(found, key=lambda finding: order.index(finding.verdict))


def _file(pickle: Fingerprint) -> Iterator[Finding]:
    again = "Write the file again with cloudpickle.dump, or copy it again in full."
    if pickle.file_kind == "compressed":
        cause = f"{pickle.problem} The image reads it only under a name that ends in .gz, .bz2, .xz or .zst."
        yield Finding("not_a_pickle", "may_fail", cause, "Upload the file uncompressed.")
    elif pickle.file_kind != "pickle":
        yield Finding("not_a_pickle", "will_fail", pickle.problem, again)
    elif pickle.limit_reached:
        cause = f"{pickle.problem} What follows was not looked at."
        yield Finding("partly_read", "note", cause, "Run it with run_container_debug.")
    elif not pickle.complete:
        yield Finding("not_a_pickle", "will_fail", pickle.problem, again)


def _python(pickle: Fingerprint, python: str | None) -> Iterator[Finding]:
    if python is None:
        yield Finding("image_unknown", "note", "The image's Python is not known.", "Choose one of query_docker_images.")
    elif not pickle.code_objects:
        return
    elif not pickle.python_candidates:
        cause = "The pickle's bytecode fits no Python from 3.10 to 3.14, or mixes several."
        yield Finding(
            "wrong_python", "may_fail", cause, f"Build it in one venv of Python {python}: make_venv makes it."
        )
    elif python not in pickle.python_candidates:
        made_by = " or ".join(pickle.python_candidates)
        cause = f"The pickle holds bytecode of Python {made_by}; the image runs Python {python}."
        step = "Build it in the venv that make_venv makes for this image, or choose an image with the pickle's Python."
        # Bytes that happen to be valid for the image's Python too may get through.
        yield Finding("wrong_python", "may_fail" if python in pickle.runnable_on else "will_fail", cause, step)
    elif len(pickle.python_candidates) > 1:
        fits = " and ".join(pickle.python_candidates)
        cause = f"The bytecode is so small that Python {fits} write it alike."
        yield Finding("python_ambiguous", "note", cause, "Nothing to do.")


def _libraries(pickle: Fingerprint, pins: Packages | None) -> Iterator[Finding]:
    if pins is None:
        return
    sure: Literal["will_fail", "may_fail"] = "will_fail" if _exact(pins) else "may_fail"
    rebuild = "Build in the venv that make_venv makes for this image, which has the image's versions."
    modules = {item.module for item in pickle.imports if item.when == "load"}
    numpy_2 = sorted(m for m in modules if m.startswith("numpy._core") and m not in _NUMPY_1_STUBS)
    if _major(pins, "numpy") == 1 and numpy_2:
        cause = f"The pickle's arrays need {numpy_2[0]} of numpy 2; the image has numpy {pins.versions['numpy']}."
        yield Finding("numpy_major", sure, cause, rebuild + " Pickle protocol 4 works too.")
    # Copies of cloudpickle inside other packages come with those packages.
    own_cloudpickle = "cloudpickle.cloudpickle" in modules and pickle.cloudpickle_generation == "3"
    if _major(pins, "cloudpickle") == 2 and own_cloudpickle:
        cause = f"The pickle was written by cloudpickle 3; the image has {pins.versions['cloudpickle']}."
        yield Finding("cloudpickle_too_new", sure, cause, rebuild)
    if pickle.pandas_objects:
        newer = pickle.pandas_generation == "3" and (_major(pins, "pandas") or 3) < 3
        verdict = "may_fail" if newer else "note"
        cause = f"pandas objects lie in the pickle ({', '.join(pickle.pandas_objects[:3])}): they tie it to one pandas."
        yield Finding("pandas_objects", verdict, cause, "Keep lists, dicts and numpy arrays only: list(frame.columns).")
    if pickle.gpu_objects:
        cause = f"Objects of a GPU: {', '.join(pickle.gpu_objects[:5])}; the image has only a CPU."
        yield Finding("gpu_tensor", "may_fail", cause, "Move the model to the CPU before pickling.")
    for library, distribution in (("lightgbm", "lightgbm"), ("xgboost", "xgboost"), ("sklearn", "scikit-learn")):
        kinds = [one.kind for one in pickle.embedded if one.library == library]
        if kinds and distribution in pins.versions:
            cause = f"The pickle holds {kinds[0]}; the image has {distribution} {pins.versions[distribution]}."
            step = "Train with that version, or convert the model with build_pickle."
            yield Finding("library_objects", "note", cause, step)


def _imports(pickle: Fingerprint, pins: Packages | None) -> Iterator[Finding]:
    loads_anything = any(not _LOADS_ANYTHING.isdisjoint(item.names) for item in pickle.imports)
    missing_main = [item for item in pickle.imports if item.when == "load" and item.package == "__main__"]
    for item in missing_main:
        cause = (
            f"The pickle only names {', '.join(item.names[:3])} of the script that wrote it; the image runs another."
        )
        yield Finding(
            "main_reference", "may_fail" if loads_anything else "will_fail", cause, "Write it with cloudpickle."
        )
    if pins is None:
        return
    missing: dict[tuple[str, str], list[Import]] = {}
    for item in pickle.imports:
        if not (item.standard_library or item.package == "__main__" or provides(pins.versions, item.package)):
            missing.setdefault((item.package, item.when), []).append(item)
    for (package, _), items in missing.items():
        # Names of compiled parts can belong to a package of another name.
        public = not package.startswith("_")
        sure = public and any(item.certain for item in items) and _exact(pins) and not loads_anything
        yield _missing(items, sure=sure)


def _missing(items: list[Import], *, sure: bool) -> Finding:
    """A package that the image lacks, imported by these modules' names all at load or all in function bodies."""
    names = ", ".join(quote_foreign(item.module, 80) for item in items[:NAMES_SHOWN])
    verdict = "will_fail" if sure else "may_fail"
    if items[0].when == "load":
        cause = f"The pickle imports {names} at load, and the image does not have it."
        step = "Define it in the script itself, call cloudpickle.register_pickle_by_value for it, or use build_pickle."
        return Finding("own_module_missing", verdict, cause, step)
    cause = f"A function imports {names}, and the image does not have it."
    return Finding(
        "package_missing_in_predict", verdict, cause, "Do without it, or convert the model with build_pickle."
    )


def _top(pickle: Fingerprint) -> Iterator[Finding]:
    name = quote_foreign(pickle.top_name, 80)
    if pickle.top_kind in ("model", "other"):
        cause = f"The pickle is {'a model' if pickle.top_kind == 'model' else 'data'} ({name}), not a function to call."
        yield Finding("not_callable", "will_fail", cause, "Pickle a function that wraps it, or use build_pickle.")
    elif pickle.parameters is not None and len(pickle.parameters) not in (1, 2):
        cause = f"predict takes ({', '.join(pickle.parameters[:6])}); the image calls it with one or two arguments."
        verdict = "may_fail" if pickle.signature_replaced else "will_fail"
        yield Finding("wrong_arity", verdict, cause, "Take live_features and, if used, live_benchmark_models.")


def _habits(pickle: Fingerprint) -> Iterator[Finding]:
    if pickle.hides_failures:
        cause = "A function catches every exception and draws random numbers: a failing model would submit noise."
        yield Finding("fallback_hides_failure", "may_fail", cause, "Let predict fail.")


def _columns(pickle: Fingerprint, columns: Columns) -> Iterator[Finding]:
    step = "Upload with the data version that the model was trained on, or train on this one."
    for kind, named, known, finding in (
        ("features", pickle.features, columns.features, "features_of_other_version"),
        ("benchmark columns", pickle.benchmark_columns, columns.benchmarks, "benchmark_column_renamed"),
    ):
        missing = [name for name in named if known is not None and name not in known]
        if missing:
            shown = ", ".join(quote_foreign(name, 60) for name in missing[:NAMES_SHOWN])
            cause = f"{len(missing)} of {len(named)} {kind} that the pickle names are not in the data version: {shown}."
            yield Finding(finding, "may_fail", cause, step)


def _exact(pins: Packages) -> bool:
    """The pins are the image's own, not those of the nearest known image."""
    return pins.source != "nearest"


def _major(pins: Packages, name: str) -> int | None:
    version = pins.versions.get(name, "").partition(".")[0]
    return int(version) if version.isdigit() else None
