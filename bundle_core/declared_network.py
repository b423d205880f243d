"""`pipeline.network`: the layers of a state dict, which has weights but no order and no activations.

    {"layers": [{"linear": "fc1"}, {"batchnorm": "bn1", "eps": 1e-5}, {"activation": "relu"},
                {"residual": [{"linear": "fc2"}, {"activation": "silu"}]}, {"linear": "out"}]}

A layer's text is what its keys begin with: {"linear": "fc1"} has fc1.weight and fc1.bias. The prefixes `module.`,
`model.` and `_orig_mod.` are stripped from keys and texts. Every key must belong to a layer.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Literal

ActivationName = Literal[
    "relu",
    "relu6",
    "leaky_relu",
    "elu",
    "selu",
    "celu",
    "gelu",
    "gelu_tanh",
    "silu",
    "mish",
    "softplus",
    "softsign",
    "sigmoid",
    "log_sigmoid",
    "tanh",
    "hardtanh",
    "hardsigmoid",
    "hardswish",
    "identity",
]


@dataclass(frozen=True)
class DeclaredLayer:
    """One layer: exactly one of linear, batchnorm, layernorm, prelu, activation, residual, dropout."""

    linear: str | None = None
    """What its keys begin with: "fc1" has fc1.weight and fc1.bias. So for batchnorm, layernorm and prelu."""
    batchnorm: str | None = None
    """BatchNorm1d as in eval(): by its running mean and variance."""
    layernorm: str | None = None
    prelu: str | None = None
    activation: ActivationName | None = None
    residual: list[DeclaredLayer] | None = None
    """Layers whose result is added to what they got."""
    dropout: float | None = None
    """Does nothing in predict."""

    shortcut: list[DeclaredLayer] = field(default_factory=list["DeclaredLayer"])
    """Of a residual: layers on the way around; none adds the input itself."""
    eps: float = 1e-5
    """Of batchnorm and layernorm."""
    negative_slope: float = 0.01
    """Of leaky_relu."""
    alpha: float = 1.0
    """Of elu and celu."""
    beta: float = 1.0
    """Of softplus."""


@dataclass(frozen=True)
class DeclaredNetwork:
    """The layers in their order; a whole torch module needs none, and may need `output`."""

    layers: list[DeclaredLayer] = field(default_factory=list[DeclaredLayer])
    output: int | None = None
    """Which of several outputs of the last layer is the score, from 0."""


KINDS = ("linear", "batchnorm", "layernorm", "prelu", "activation", "residual", "dropout")
_OPTIONS = {
    "eps": ("batchnorm", "layernorm"),
    "negative_slope": ("activation",),
    "alpha": ("activation",),
    "beta": ("activation",),
    "shortcut": ("residual",),
}


def problem_of(network: DeclaredNetwork, key: str) -> tuple[str, str] | None:
    """The first layer that is not one thing: (path of its key, what is wrong with it); None where all are."""
    if network.output is not None and network.output < 0:
        return f"{key}.output", f"{network.output} is below 0"
    return _first_problem(network.layers, f"{key}.layers")


def kind_of(layer: DeclaredLayer) -> str:
    """Which of KINDS a checked layer is."""
    return next(kind for kind in KINDS if getattr(layer, kind) is not None)


def _first_problem(layers: list[DeclaredLayer], key: str) -> tuple[str, str] | None:
    for i, layer in enumerate(layers):
        place = f"{key}[{i}]"
        given = [kind for kind in KINDS if getattr(layer, kind) is not None]
        if len(given) != 1:
            return place, f"has {' and '.join(given) or 'none'} of {', '.join(KINDS)}; a layer is exactly one"
        for item in fields(layer):
            if item.name in _OPTIONS and given[0] not in _OPTIONS[item.name]:
                default = item.default if item.name != "shortcut" else []
                if getattr(layer, item.name) != default:
                    return f"{place}.{item.name}", f"means nothing for {given[0]}"
        if layer.eps <= 0:
            return f"{place}.eps", f"{layer.eps} is not above 0"
        inner = _first_problem(layer.residual or [], f"{place}.residual")
        inner = inner or _first_problem(layer.shortcut, f"{place}.shortcut")
        if inner:
            return inner
    return None
