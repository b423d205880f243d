"""What a fingerprint tells: plain dataclasses of JSON-able values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

PYTHON_MINORS = ("3.10", "3.11", "3.12", "3.13", "3.14")
"""The minors whose bytecode is told apart."""

FileKind = Literal["pickle", "joblib", "compressed", "archive", "html", "text", "empty", "unknown"]
TopKind = Literal["function", "callable", "reference", "model", "other", "unknown"]


@dataclass(frozen=True)
class Import:
    """One module that the pickle needs."""

    module: str
    """Dotted, as written: "sklearn.linear_model"."""
    package: str
    """The first part of `module`."""
    names: tuple[str, ...]
    """Attributes asked of it, at most 20."""
    when: Literal["load", "predict"]
    """load: unpickling imports it; predict: an import statement in a function's body does."""
    certain: bool
    """Nothing can keep the import from happening. False inside a branch, a loop, a `try` or an inner function."""
    standard_library: bool


@dataclass(frozen=True)
class Embedded:
    """All objects of one library class (or plain arrays, text, code) inside the pickle."""

    kind: str
    """"lightgbm.basic.Booster", "numpy.ndarray"; by-value functions are "code"."""
    library: str
    count: int
    size_bytes: int
    """Bytes of the file that build these objects, parts included; objects inside objects count in both."""


@dataclass(frozen=True)
class Fingerprint:
    """What the opcodes of a pickle file say, without loading it."""

    file_kind: FileKind
    size_bytes: int
    complete: bool
    """The pickle was read up to its STOP."""
    problem: str
    """Why reading stopped before that, or what is wrong with the file; empty when nothing is."""
    limit_reached: bool
    """The pickle has more operations than are read, or more objects than are remembered."""
    protocol: int | None
    python_version: str | None
    """The minor that wrote the bytecode inside, "3.12"; null where there is none or its bytes fit several."""
    python_candidates: tuple[str, ...]
    """The minors that the bytecode fits; all of PYTHON_MINORS where there is none."""
    runnable_on: tuple[str, ...]
    """The minors that could execute the top function (any function, where that is not known), whoever wrote it."""
    cloudpickle_generation: Literal["2", "3"] | None
    """2: the helpers live in cloudpickle.cloudpickle_fast; 3: in cloudpickle.cloudpickle. Null where not told."""
    numpy_generation: Literal["1", "2"] | None
    """Major of the numpy that wrote the arrays; null where there are none."""
    pandas_generation: Literal["2", "3"] | None
    """3: it holds what only pandas 3 writes; 2: older pandas objects; null where there are none."""
    top_kind: TopKind
    """function: by value; callable: an object with `__call__` (or partial, bound method); reference: a name to
    import; model: an object of a library whose models can not be called; other: data."""
    top_name: str
    parameters: tuple[str, ...] | None
    """Parameters of the top object as `inspect.signature` would list them, `*args` and `**kwargs` with stars; null
    where not known."""
    signature_replaced: bool
    """The top function carries `__wrapped__` or `__signature__`, which `inspect.signature` prefers."""
    imports: tuple[Import, ...]
    embedded: tuple[Embedded, ...]
    """Largest first, at most 40."""
    pandas_objects: tuple[str, ...]
    gpu_objects: tuple[str, ...]
    """Tensors, arrays and boosters that carry a GPU device."""
    features: tuple[str, ...]
    """Names like Numerai features (`feature_...`), at most 5,000, sorted."""
    benchmark_columns: tuple[str, ...]
    """Names like benchmark columns (`v52_lgbm_ender20`)."""
    columns: tuple[str, ...]
    """Other column names of Numerai's data that occur: "era", "data_type", `target...`."""
    hides_failures: bool
    """A function catches everything and draws random numbers: a failure can become a random submission."""
    code_objects: int
    """By-value code objects, nested ones included."""
