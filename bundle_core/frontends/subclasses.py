"""Subclasses of a library's models: read like their base, unless they predict otherwise."""

from __future__ import annotations

from bundle_core.errors import ModelRefused


def require_predict_of(library: str, model: object) -> None:
    """Raise ModelRefused if a class outside of `library` (its top package) defines the object's `predict`."""
    owner = next(base for base in type(model).__mro__ if "predict" in vars(base))
    if owner.__module__.partition(".")[0] != library:
        raise ModelRefused(
            f"{owner.__module__}.{owner.__qualname__} has its own predict, which would be left out.",
            evidence=f"The model is one of {library}.",
            next_step=f"Save the model inside with {library}'s own save_model to convert that alone, or use `script` "
            "with a predict function that does what the class does.",
        )
