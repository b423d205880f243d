"""torch modules and state dicts, read from the files that torch.save, pickle and joblib write.

torch adds and rounds in another order: scores are equal to 1e-5 of their spread in float32, 1e-12 in float64.
"""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bundle_core.errors import ModelRefused
from bundle_core.frontends import read_object
from bundle_core.native import native_scores
from tests.nets.torch_files import FLOAT32_ROUNDING, FLOAT64_ROUNDING, FRAME, INPUTS, apart, nn, read, saved, trained
from tests.nets.training_data import scores

pytestmark = pytest.mark.requires("torch")


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
        nn().Flatten(0),
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
