"""torch: nn.Sequential modules and state dicts, as eval() computes them, in the dtype of their weights.

float16 and bfloat16 weights are computed with in float32. torch's own sums and transforms round in another order, so
raw scores are equal to about 1e-6 of their size in float32, 1e-14 in float64.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from bundle_core.errors import ModelRefused
from bundle_core.frontends import torch_layers
from bundle_core.frontends.state_dict import State, dtype_of, finished, refuse_alone, strip
from bundle_core.frontends.torch_layers import Layers
from bundle_core.ir.network import Clip, Network

Floats = npt.NDArray[np.floating[Any]]

_WRAPPERS = ("state_dict", "model_state_dict", "model")
"""Keys under which training loops keep the state dict in their checkpoints."""


def load(path: Path) -> Any:
    """What torch.save wrote, with GPU weights on the CPU; arbitrary objects are unpickled only where it needs them."""
    import torch  # pyright: ignore[reportMissingImports]

    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        return torch.load(path, map_location="cpu", weights_only=False)


def without_gpu(load: Callable[[], Any]) -> Any:
    """What `load` unpickles; with weights that pickle itself saved on a GPU, in a second try that keeps them off it."""
    try:
        return load()
    except RuntimeError as error:
        if "map_location" not in str(error):
            raise
        import torch  # pyright: ignore[reportMissingImports]

        storage: Any = torch.storage
        load_storage = storage._load_from_bytes
        storage._load_from_bytes = _storage_on_cpu
        try:
            return load()
        finally:
            storage._load_from_bytes = load_storage


def _storage_on_cpu(content: bytes) -> Any:
    import torch  # pyright: ignore[reportMissingImports]

    return torch.load(io.BytesIO(content), map_location="cpu", weights_only=False)


def read(module: Any, output: int | None = None) -> Network:
    """An nn.Sequential, or a single layer. `output` is the column that is the score, where there are several.

    Raises ModelRefused, by name, for a module whose forward is not known.
    """
    layers = _module_layers(module)
    weights = state_of(module) or {}
    return finished(layers, output, dtype_of(list(weights.values())), f"torch {type(module).__name__}")


def read_dict(saved: Any) -> Network:
    """Refuses a state dict, with the skeleton of what is to be declared, and any other dict."""
    state = state_of(saved)
    if state is None:
        raise ModelRefused(
            "The file holds a dict that is no state dict.",
            evidence=f"Its keys begin with {', '.join(repr(key) for key in list(saved)[:10])}.",
            next_step="Save the model itself, or its state_dict().",
        )
    raise refuse_alone(strip(state), "torch state dict")


def state_of(saved: Any) -> State | None:
    """The weights by key of a module, a state dict or a checkpoint with one inside; None for anything else."""
    if hasattr(saved, "state_dict") and hasattr(saved, "forward"):
        saved = saved.state_dict()
    if not isinstance(saved, Mapping):
        return None
    content = cast("Mapping[str, Any]", saved)
    if content and all(_is_tensor(value) for value in content.values()):
        return {str(key): _array(value) for key, value in content.items()}
    inside = [content[name] for name in _WRAPPERS if isinstance(content.get(name), Mapping)]
    return state_of(inside[0]) if len(inside) == 1 else None


def _is_tensor(value: Any) -> bool:
    return any(f"{base.__module__}.{base.__qualname__}" == "torch.Tensor" for base in type(value).__mro__)


def _array(tensor: Any) -> Floats:
    moved = tensor.detach().cpu()
    if str(moved.dtype) in ("torch.float16", "torch.bfloat16"):
        moved = moved.float()
    return np.asarray(moved.numpy())


def _optional(tensor: Any) -> Floats | None:
    return None if tensor is None else _array(tensor)


def _module_layers(module: Any) -> Layers:
    """The layers of one module, checked to run nothing but torch's own forward."""
    for base in type(module).__mro__:
        reader = _MODULES.get(base.__name__) if base.__module__.startswith("torch.nn.modules.") else None
        if reader is not None:
            break
    else:
        raise _refused(module, "Its forward is not known.")
    owner = next(base for base in type(module).__mro__ if "forward" in vars(base))
    if not owner.__module__.startswith("torch."):
        raise _refused(module, f"{owner.__qualname__} has its own forward, which is not read.")
    if module._forward_hooks or module._forward_pre_hooks:
        raise _refused(module, "It has forward hooks, which are not read.")
    return reader(module)


def _sequential(module: Any) -> Layers:
    return tuple(layer for child in module for layer in _module_layers(child))


def _nothing(_: Any) -> Layers:
    return ()


def _linear(module: Any) -> Layers:
    return torch_layers.linear(_array(module.weight), _optional(module.bias))


def _batch_norm(module: Any) -> Layers:
    if module.running_mean is None:
        raise _refused(module, "It has no running statistics: it scales each batch by itself.")
    mean, variance = _array(module.running_mean), _array(module.running_var)
    return torch_layers.batch_norm(mean, variance, _optional(module.weight), _optional(module.bias), module.eps)


def _layer_norm(module: Any) -> Layers:
    if len(module.normalized_shape) != 1:
        raise _refused(module, f"It is over {len(module.normalized_shape)} dimensions.")
    weight = _optional(module.weight)
    ones = np.ones(module.normalized_shape, np.float32) if weight is None else weight
    return torch_layers.layer_norm(ones, _optional(getattr(module, "bias", None)), module.eps)


def _prelu(module: Any) -> Layers:
    return torch_layers.prelu(_array(module.weight))


def _hardtanh(module: Any) -> Layers:
    return (Clip(float(module.min_val), float(module.max_val)),)


def _softplus(module: Any) -> Layers:
    if module.threshold != 20:
        raise _refused(module, f"Its threshold is {module.threshold}, not 20.")
    return _activation("softplus", beta=float(module.beta))


def _gelu(module: Any) -> Layers:
    return _activation("gelu_tanh" if getattr(module, "approximate", "none") == "tanh" else "gelu")


def _activation(name: str, *, negative_slope: float = 0.01, alpha: float = 1.0, beta: float = 1.0) -> Layers:
    return torch_layers.activation(name, negative_slope=negative_slope, alpha=alpha, beta=beta)


def _plain(name: str) -> Callable[[Any], Layers]:
    return lambda module: _activation(name)


def _refused(module: Any, reason: str) -> ModelRefused:
    return ModelRefused(
        f"torch module {type(module).__module__}.{type(module).__qualname__} cannot be converted.",
        evidence=f"{reason} Modules that are: {', '.join(sorted(_MODULES))}.",
        next_step="If its forward is a chain of such layers and residual blocks, save its state_dict() and declare "
        'them in pipeline.network; else use `script`, in a venv made with make_venv(packages=["torch"]).',
    )


_MODULES: dict[str, Callable[[Any], Layers]] = {
    "Sequential": _sequential,
    "Linear": _linear,
    "BatchNorm1d": _batch_norm,
    "LayerNorm": _layer_norm,
    "PReLU": _prelu,
    "LeakyReLU": lambda module: _activation("leaky_relu", negative_slope=float(module.negative_slope)),
    "ELU": lambda module: _activation("elu", alpha=float(module.alpha)),
    "CELU": lambda module: _activation("celu", alpha=float(module.alpha)),
    "GELU": _gelu,
    "Softplus": _softplus,
    "Hardtanh": _hardtanh,
    # Flatten leaves (n, k) as it is, and makes (n,) of the last (n, 1).
    **dict.fromkeys(("Identity", "Flatten", "Dropout", "Dropout1d", "AlphaDropout", "FeatureAlphaDropout"), _nothing),
    **{
        name: _plain(plain)
        for name, plain in {
            "ReLU": "relu",
            "SELU": "selu",
            "SiLU": "silu",
            "Mish": "mish",
            "Softsign": "softsign",
            "Sigmoid": "sigmoid",
            "LogSigmoid": "log_sigmoid",
            "Tanh": "tanh",
            "Hardsigmoid": "hardsigmoid",
            "Hardswish": "hardswish",
        }.items()
    },
}
"""By the class's name in torch.nn.modules; ReLU6 is a Hardtanh."""
