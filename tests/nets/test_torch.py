"""torch modules and state dicts, read from the files that torch.save, pickle and joblib write.

torch adds and rounds in another order: scores are equal to 1e-5 of their spread in float32, 1e-12 in float64.
"""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bundle_core
from bundle_core.errors import ModelRefused, PipelineInvalid
from bundle_core.frontends import read_object
from bundle_core.native import native_scores
from bundle_core.parity import compare
from bundle_core.pipeline import check
from bundle_core.sources import NativeSource, read_source
from tests.nets.training_data import NAMES, features, reread, scores

pytestmark = pytest.mark.requires("torch")

FLOAT32_ROUNDING = 1e-5
FLOAT64_ROUNDING = 1e-12
FRAME = features(7000)
INPUTS = FRAME.shape[1]

ACTIVATIONS = [
    ("ReLU", {}),
    ("ReLU6", {}),
    ("LeakyReLU", {"negative_slope": 0.2}),
    ("PReLU", {}),
    ("PReLU", {"num_parameters": 12}),
    ("ELU", {"alpha": 0.7}),
    ("SELU", {}),
    ("CELU", {"alpha": 1.3}),
    ("GELU", {}),
    ("GELU", {"approximate": "tanh"}),
    ("SiLU", {}),
    ("Mish", {}),
    ("Softplus", {"beta": 2}),
    ("Softsign", {}),
    ("Sigmoid", {}),
    ("LogSigmoid", {}),
    ("Tanh", {}),
    ("Hardtanh", {"min_val": -0.5}),
    ("Hardsigmoid", {}),
    ("Hardswish", {}),
    ("Identity", {}),
]


def nn() -> Any:
    import torch.nn

    return torch.nn


def trained(*modules: Any, dtype: str = "float32") -> Any:
    """A Sequential with statistics in its norms, left in training mode."""
    import torch

    torch.manual_seed(0)
    module = nn().Sequential(*modules).to(getattr(torch, dtype))
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter, 0.1, 0.3)
    module.train()
    module(torch.tensor(FRAME.to_numpy()).to(getattr(torch, dtype)))
    return module


def saved(folder: Path, content: Any) -> Path:
    import torch

    torch.save(content, folder / "model.pt")
    return folder / "model.pt"


def read(path: Path, network: dict[str, Any] | None = None) -> NativeSource:
    declared = check({"network": network}).network if network is not None else None
    return read_source(path, declared)


def apart(source: NativeSource) -> float:
    """The largest difference from what torch's own module gives, in units of the scores' spread."""
    theirs = native_scores(source, FRAME.to_numpy())
    assert not isinstance(theirs, str), theirs
    ours = scores(reread(source.model), FRAME)
    assert ours.dtype == theirs.dtype
    return float(np.abs(ours - theirs).max() / theirs.std())


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("name", "parameters"), ACTIVATIONS)
def test_an_activation(name: str, parameters: dict[str, Any], dtype: str, tmp_path: Path) -> None:
    activation = getattr(nn(), name)(**parameters)
    module = trained(nn().Linear(INPUTS, 12), activation, nn().Linear(12, 1), dtype=dtype)
    rounding = FLOAT32_ROUNDING if dtype == "float32" else FLOAT64_ROUNDING
    assert apart(read(saved(tmp_path, module))) < rounding


def test_values_far_from_zero_keep_their_limits(tmp_path: Path) -> None:
    for name in ("SiLU", "Sigmoid", "Softplus", "Mish", "GELU", "ELU", "LogSigmoid", "Tanh"):
        module = nn().Sequential(nn().Linear(1, 1, bias=False), getattr(nn(), name)())
        nn().init.constant_(module[0].weight, 1000.0)
        path = saved(tmp_path, module)
        rows = np.array([[-4.0], [-1.0], [0.0], [1.0], [4.0]])
        theirs = native_scores(read(path), rows)
        assert not isinstance(theirs, str)
        np.testing.assert_allclose(scores(read(path).model, rows), theirs, rtol=1e-6, atol=1e-37, err_msg=name)


def test_norms_dropout_and_nested_sequentials_as_in_eval_mode(tmp_path: Path) -> None:
    inner = nn().Sequential(nn().Linear(16, 8, bias=False), nn().BatchNorm1d(8, affine=False), nn().SiLU())
    module = trained(
        nn().Flatten(),
        nn().BatchNorm1d(INPUTS, eps=0.01),
        nn().Linear(INPUTS, 16),
        nn().LayerNorm(16, eps=0.001),
        nn().Dropout(0.5),
        inner,
        nn().LayerNorm(8, elementwise_affine=False),
        nn().Linear(8, 1),
    )
    assert apart(read(saved(tmp_path, module))) < FLOAT32_ROUNDING


def test_a_single_linear_layer_is_a_model(tmp_path: Path) -> None:
    assert apart(read(saved(tmp_path, nn().Linear(INPUTS, 1)))) < FLOAT32_ROUNDING


def test_parametrized_weights_count_as_they_are_computed() -> None:
    import torch
    from torch.nn.utils.parametrizations import weight_norm

    module = trained(weight_norm(nn().Linear(INPUTS, 4)), nn().Tanh(), nn().Linear(4, 1))
    with torch.no_grad():
        expected = module.eval()(torch.tensor(FRAME.to_numpy()).float()).numpy()[:, 0]
    np.testing.assert_allclose(scores(read_object(module), FRAME), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("dump", ["pickle", "joblib"])
def test_a_module_that_pickle_or_joblib_wrote(dump: str, tmp_path: Path) -> None:
    module = trained(nn().Linear(INPUTS, 4), nn().ReLU(), nn().Linear(4, 1))
    path = tmp_path / "model.pkl"
    if dump == "pickle":
        path.write_bytes(pickle.dumps(module))
    else:
        __import__("joblib").dump(module, path)
    assert apart(read(path)) < FLOAT32_ROUNDING


@pytest.mark.parametrize("how", ["torch.save", "pickle"])
def test_weights_of_a_gpu_are_moved(how: str, tmp_path: Path) -> None:
    """The files that a GPU would have written: the place of every storage reads cuda:0."""
    import io
    import zipfile

    import torch

    module = trained(nn().Linear(INPUTS, 4), nn().ReLU(), nn().Linear(4, 1))
    expected = scores(read(saved(tmp_path, module)).model, FRAME)
    cpu, gpu = b"X\x03\x00\x00\x00cpu", b"X\x06\x00\x00\x00cuda:0"
    path = tmp_path / "gpu"
    if how == "torch.save":
        with zipfile.ZipFile(tmp_path / "model.pt") as old, zipfile.ZipFile(path, "w") as new:
            for entry in old.namelist():
                new.writestr(entry, old.read(entry).replace(cpu, gpu))
    else:
        reduce = torch.storage.TypedStorage.__reduce__

        def on_gpu(storage: Any) -> Any:
            stream = io.BytesIO()
            torch.save(storage, stream, _use_new_zipfile_serialization=False)
            return torch.storage._load_from_bytes, (stream.getvalue().replace(cpu, gpu),)

        torch.storage.TypedStorage.__reduce__ = on_gpu
        try:
            path.write_bytes(pickle.dumps(module))
        finally:
            torch.storage.TypedStorage.__reduce__ = reduce
        with pytest.raises(RuntimeError, match="CUDA"):
            pickle.loads(path.read_bytes())
    assert np.array_equal(scores(read(path).model, FRAME), expected)


def test_half_precision_weights_are_computed_with_in_float32(tmp_path: Path) -> None:
    import torch

    module = trained(nn().Linear(INPUTS, 4), nn().ReLU(), nn().Linear(4, 1)).to(torch.bfloat16)
    source = read(saved(tmp_path, module))
    assert scores(source.model, FRAME).dtype == np.float32
    assert "float32" in str(native_scores(source, FRAME.to_numpy()))


def test_of_several_outputs_one_is_named(tmp_path: Path) -> None:
    import torch

    module = trained(nn().Linear(INPUTS, 4), nn().ReLU(), nn().Linear(4, 3))
    path = saved(tmp_path, module)
    with pytest.raises(ModelRefused, match="gives 3 outputs"):
        read(path)
    with pytest.raises(ModelRefused, match="gives 3 outputs"):
        read(path, {"output": 3})
    with torch.no_grad():
        expected = module.eval()(torch.tensor(FRAME.to_numpy()).float()).numpy()[:, 1]
    np.testing.assert_allclose(scores(read(path, {"output": 1}).model, FRAME), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: nn().Sequential(nn().Conv1d(1, 1, 1)), "torch.nn.modules.conv.Conv1d"),
        (lambda: nn().Sequential(nn().Unflatten(1, (2, 4))), "Unflatten"),
        (lambda: nn().Sequential(nn().Softplus(threshold=5)), "threshold is 5"),
        (lambda: nn().Sequential(nn().BatchNorm1d(4, track_running_stats=False)), "no running statistics"),
        (lambda: nn().Sequential(nn().LayerNorm((2, 4))), "over 2 dimensions"),
        (lambda: nn().Sequential(nn().ReLU()), "no linear layer"),
        (lambda: nn().Sequential(nn().Linear(8, 4), nn().LayerNorm(3)), "do not fit each other"),
    ],
)
def test_a_module_that_cannot_be_converted_is_refused_by_name(make: Any, reason: str) -> None:
    with pytest.raises(ModelRefused) as refusal:
        read_object(make())
    assert reason in str(refusal.value)


def test_a_module_with_its_own_forward_or_hooks_is_refused() -> None:
    class Doubled(nn().Sequential):
        def forward(self, input: Any) -> Any:
            return super().forward(input) * 2

    class Custom(nn().Module):
        def forward(self, input: Any) -> Any:
            return input

    hooked = nn().Linear(8, 1)
    hooked.register_forward_hook(lambda *_: None)
    for module, reason in ((Doubled(nn().Linear(8, 1)), "its own forward"), (Custom(), "not known"), (hooked, "hooks")):
        with pytest.raises(ModelRefused, match=reason) as refusal:
            read_object(module)
        assert "script" in refusal.value.next_step
        assert "pipeline.network" in refusal.value.next_step


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
