"""State dicts with the layers that pipeline.network declares."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bundle_core
from bundle_core.errors import ModelRefused, PipelineInvalid
from bundle_core.native import native_scores
from bundle_core.parity import compare
from bundle_core.pipeline import check
from tests.nets.torch_files import FLOAT32_ROUNDING, FRAME, INPUTS, apart, nn, read, saved, trained
from tests.nets.training_data import NAMES, reread, scores

pytestmark = pytest.mark.requires("torch")


def residual_net() -> Any:
    """A module with skips, whose forward only its author knows."""
    import torch

    class Net(nn().Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc1, self.bn1 = nn().Linear(INPUTS, 16), nn().BatchNorm1d(16)
            self.block, self.norm = nn().Linear(16, 16), nn().LayerNorm(16)
            self.down, self.around = nn().Linear(16, 4), nn().Linear(16, 4, bias=False)
            self.slope, self.out = nn().PReLU(), nn().Linear(4, 1)

        def forward(self, x: Any) -> Any:
            x = torch.relu(self.bn1(self.fc1(x)))
            x = x + nn().functional.silu(self.block(self.norm(x)))
            x = self.slope(self.around(x) + torch.tanh(self.down(x)))
            return self.out(x)

    torch.manual_seed(0)
    module = Net()
    module(torch.tensor(FRAME.to_numpy()).float())
    return module


DECLARED: dict[str, Any] = {
    "layers": [
        {"linear": "fc1"},
        {"batchnorm": "bn1", "eps": 1e-5},
        {"activation": "relu"},
        {"dropout": 0.3},
        {"residual": [{"layernorm": "norm"}, {"linear": "block"}, {"activation": "silu"}]},
        {"residual": [{"linear": "down"}, {"activation": "tanh"}], "shortcut": [{"linear": "around"}]},
        {"prelu": "slope"},
        {"linear": "out"},
    ]
}


def of_residual_net(module: Any) -> Any:
    import torch

    with torch.no_grad():
        return module.eval()(torch.tensor(FRAME.to_numpy()).float()).numpy()[:, 0]


@pytest.mark.parametrize("prefix", ["", "module.", "model.", "_orig_mod.", "module._orig_mod.", "model.model."])
def test_a_state_dict_with_declared_layers(prefix: str, tmp_path: Path) -> None:
    module = residual_net()
    state = {prefix + key: value for key, value in module.state_dict().items()}
    ours = scores(reread(read(saved(tmp_path, state), DECLARED).model), FRAME)
    np.testing.assert_allclose(ours, of_residual_net(module), rtol=1e-4, atol=1e-5)


def test_a_state_dict_in_memory_and_its_parity_with_the_module() -> None:
    module = residual_net()
    bundle = bundle_core.convert(module.state_dict(), NAMES, DECLARED)
    ours = scores(bundle.sources[0].model, FRAME)
    proof = compare("net", ours, of_residual_net(module), "sample", "torch")
    assert proof.status == "different"
    assert "float32 rounding" in proof.reason
    assert "rounding" not in compare("net", ours + np.float32(0.01), ours, "sample", "torch").reason


def test_declared_layers_are_compared_with_the_module_where_there_is_one(tmp_path: Path) -> None:
    module = trained(nn().Linear(INPUTS, 4), nn().Tanh(), nn().Linear(4, 1))
    declared = {"layers": [{"linear": "0"}, {"activation": "tanh"}, {"linear": "2"}]}
    assert apart(read(saved(tmp_path, module), declared)) < FLOAT32_ROUNDING
    alone = read(saved(tmp_path, module.state_dict()), declared)
    assert "no forward pass" in str(native_scores(alone, FRAME.to_numpy()))


def test_a_checkpoint_with_a_state_dict_inside(tmp_path: Path) -> None:
    module = residual_net()
    path = saved(tmp_path, {"epoch": 3, "state_dict": module.state_dict(), "optimizer": {"lr": 0.1}})
    np.testing.assert_allclose(scores(read(path, DECLARED).model, FRAME), of_residual_net(module), rtol=1e-4, atol=1e-5)


def test_a_state_dict_alone_is_refused_with_a_skeleton_of_its_keys_and_shapes(tmp_path: Path) -> None:
    path = saved(tmp_path, residual_net().state_dict())
    with pytest.raises(ModelRefused) as refusal:
        read(path)
    found = json.loads(refusal.value.evidence.removeprefix("Keys and shapes: "))
    assert found["fc1.weight"] == [16, INPUTS]
    skeleton, _ = json.JSONDecoder().raw_decode(refusal.value.next_step.partition("pipeline = ")[2])
    layers = skeleton["network"]["layers"]
    assert [layer for layer in layers if "activation" not in layer] == [
        {"linear": "fc1"},
        {"batchnorm": "bn1"},
        {"linear": "block"},
        {"layernorm": "norm"},
        {"linear": "down"},
        {"linear": "around"},
        {"prelu": "slope"},
        {"linear": "out"},
    ]


def test_a_corrected_skeleton_is_the_model(tmp_path: Path) -> None:
    module = trained(nn().Linear(INPUTS, 4), nn().Tanh(), nn().Linear(4, 1))
    path = saved(tmp_path, module.state_dict())
    with pytest.raises(ModelRefused) as refusal:
        read(path)
    skeleton, _ = json.JSONDecoder().raw_decode(refusal.value.next_step.partition("pipeline = ")[2])
    assert skeleton == {"network": {"layers": [{"linear": "0"}, {"activation": "?"}, {"linear": "2"}]}}
    skeleton["network"]["layers"][1] = {"activation": "tanh"}
    expected = scores(read(saved(tmp_path, module)).model, FRAME)
    assert np.array_equal(
        scores(read(saved(tmp_path, module.state_dict()), skeleton["network"]).model, FRAME), expected
    )


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda layers: layers.pop(0), r"2 keys belong to no declared layer: fc1.weight, fc1.bias"),
        (lambda layers: layers.insert(0, {"linear": "fc0"}), r"fc0.weight is not there"),
        (lambda layers: layers.insert(0, {"linear": "fc1"}), r"fc1.weight is not there, or used by a layer before"),
        (lambda layers: layers.__setitem__(0, {"layernorm": "fc1"}), r"fc1.weight has the shape \[16, 8\]"),
        (lambda layers: layers.reverse(), "do not fit each other"),
    ],
)
def test_declared_layers_that_are_not_those_of_the_weights(change: Any, reason: str, tmp_path: Path) -> None:
    layers = list(DECLARED["layers"])
    change(layers)
    with pytest.raises(ModelRefused, match=reason):
        read(saved(tmp_path, residual_net().state_dict()), {"layers": layers})


@pytest.mark.parametrize(
    ("network", "place"),
    [
        ({"layers": [{"linear": "a"}, {"activation": "?"}]}, "pipeline.network.layers[1].activation"),
        ({"layers": [{"linear": "a", "activation": "relu"}]}, "pipeline.network.layers[0]: has linear and activation"),
        ({"layers": [{}]}, "pipeline.network.layers[0]: has none"),
        ({"layers": [{"conv": "a"}]}, "pipeline.network.layers[0].conv: unknown key"),
        ({"layers": [{"linear": "a", "eps": 0.1}]}, "pipeline.network.layers[0].eps: means nothing for linear"),
        ({"layers": [{"residual": [{"batchnorm": "a", "eps": 0}]}]}, "pipeline.network.layers[0].residual[0].eps"),
        ({"output": -1}, "pipeline.network.output"),
    ],
)
def test_a_wrong_declaration_is_refused_with_its_place(network: dict[str, Any], place: str) -> None:
    with pytest.raises(PipelineInvalid) as refusal:
        check({"network": network})
    assert refusal.value.evidence.startswith(place)


def test_a_network_for_a_model_that_has_none_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.pkl"
    path.write_bytes(pickle.dumps([1, 2]))
    with pytest.raises(PipelineInvalid) as refusal:
        read(path, DECLARED)
    assert "pipeline.network" in refusal.value.evidence


def test_a_dict_of_other_things_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.pkl"
    path.write_bytes(pickle.dumps({"accuracy": 0.1}))
    with pytest.raises(ModelRefused, match="no state dict"):
        read(path)
