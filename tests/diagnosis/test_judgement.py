"""What a fingerprint means for an image and a data version, before anything runs."""

from __future__ import annotations

import functools
import pickle
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cloudpickle
import numpy as np
import pytest

from bundle_core.fingerprint import Fingerprint, read
from server.diagnosis import Finding, judge
from server.diagnosis.packages import provides
from tests.conftest import RUNTIMES

Fingerprints = Callable[[object], Fingerprint]


@dataclass(frozen=True)
class Image:
    python_version: str | None


@dataclass(frozen=True)
class Pins:
    versions: dict[str, str]
    source: str = "shipped"


@dataclass(frozen=True)
class Columns:
    features: frozenset[str] | None
    benchmarks: frozenset[str] | None


def pins(minor: str) -> Pins:
    return Pins(dict(line.split("==") for line in (RUNTIMES / f"py{minor}.txt").read_text().split()))


def verdicts(found: list[Finding]) -> dict[str, str]:
    return {finding.id: finding.verdict for finding in found}


@pytest.fixture
def fingerprint(tmp_path: Path) -> Fingerprints:
    """Of what cloudpickle writes for an object, as if it came from the image's own Python."""

    def of(thing: object) -> Fingerprint:
        path = tmp_path / "model.pkl"
        path.write_bytes(cloudpickle.dumps(thing, protocol=4))
        return replace(read(path), python_candidates=("3.12",), runnable_on=("3.12",), python_version="3.12")

    return of


def in_main(function: Any) -> Any:
    """cloudpickle writes functions of `__main__` by value."""
    function.__module__ = "__main__"
    return function


@in_main
def predict(live_features: Any, live_benchmark_models: Any) -> Any:
    return live_features[["feature_one", "feature_two"]], live_benchmark_models["v52_lgbm_ender20"]


def test_a_plain_function_has_nothing_to_fear(fingerprint: Fingerprints) -> None:
    assert judge(fingerprint(predict), Image("3.12"), pins("3.12")) == []


def test_bytecode_of_another_python_is_bound_to_fail(fingerprint: Fingerprints) -> None:
    found = verdicts(judge(fingerprint(predict), Image("3.11"), pins("3.11")))
    assert found["wrong_python"] == "will_fail"


def test_bytecode_that_the_image_can_execute_only_may_fail(fingerprint: Fingerprints) -> None:
    runnable = replace(fingerprint(predict), runnable_on=("3.11", "3.12"))
    assert verdicts(judge(runnable, Image("3.11"), pins("3.11")))["wrong_python"] == "may_fail"


def test_an_import_that_surely_runs_is_told_from_one_that_may_not(fingerprint: Fingerprints) -> None:
    @in_main
    def surely(live_features: Any) -> Any:
        import missing_package

        return missing_package.predict(live_features)

    @in_main
    def perhaps(live_features: Any) -> Any:
        try:
            import missing_package
        except ImportError:
            return live_features
        return missing_package.predict(live_features)

    for function, verdict in ((surely, "will_fail"), (perhaps, "may_fail")):
        found = verdicts(judge(fingerprint(function), Image("3.12"), pins("3.12")))
        assert found == {"package_missing_in_predict": verdict}


def test_packages_of_the_image_and_the_standard_library_are_no_findings(fingerprint: Fingerprints) -> None:
    @in_main
    def uses_them(live_features: Any) -> Any:
        import json
        import xml.etree.ElementTree

        import sklearn.linear_model
        import yaml
        from PIL import Image as Picture

        return json, xml, sklearn, yaml, Picture, live_features

    assert judge(fingerprint(uses_them), Image("3.12"), pins("3.12")) == []


def test_without_the_images_own_pins_nothing_about_packages_is_certain(fingerprint: Fingerprints) -> None:
    @in_main
    def imports(live_features: Any) -> Any:
        import missing_package

        return missing_package, live_features

    nearest = replace(pins("3.12"), source="nearest")
    assert verdicts(judge(fingerprint(imports), Image("3.12"), nearest)) == {"package_missing_in_predict": "may_fail"}
    assert judge(fingerprint(imports), Image("3.12"), None) == []


def test_names_are_judged_against_the_data_version(fingerprint: Fingerprints) -> None:
    columns = Columns(frozenset({"feature_one"}), frozenset({"v53_lgbm_ender20"}))
    found = judge(fingerprint(predict), Image("3.12"), pins("3.12"), columns)
    assert verdicts(found) == {"features_of_other_version": "may_fail", "benchmark_column_renamed": "may_fail"}
    assert "feature_two" in found[0].cause
    assert "feature_one" not in found[0].cause
    assert judge(fingerprint(predict), Image("3.12"), pins("3.12"), Columns(None, None)) == []


def test_data_is_not_callable_and_neither_is_a_model(fingerprint: Fingerprints) -> None:
    class Model:
        pass

    Model.__module__ = "__main__"
    for thing in ({"a": 1}, np.arange(3.0), "text", Model()):
        assert verdicts(judge(fingerprint(thing), Image("3.12"), pins("3.12")))["not_callable"] == "will_fail"


def test_parameters_are_counted_through_partials_methods_and_instances(fingerprint: Fingerprints) -> None:
    class Model:
        def __call__(self, live_features: Any) -> Any:
            return live_features

        def three(self, a: Any, b: Any, c: Any) -> Any:
            return a, b, c

    Model.__module__ = "__main__"

    @in_main
    def three(a: Any, b: Any, c: Any) -> Any:
        return a, b, c

    assert fingerprint(Model()).parameters == ("live_features",)
    assert fingerprint(Model().three).parameters == ("a", "b", "c")
    assert fingerprint(functools.partial(three, 1)).parameters == ("b", "c")
    assert fingerprint(in_main(lambda *args, key=1, **rest: args)).parameters == ("*args", "key", "**rest")
    for thing, verdict in ((three, {"wrong_arity": "will_fail"}), (functools.partial(three, 1), {}), (Model(), {})):
        assert verdicts(judge(fingerprint(thing), Image("3.12"), pins("3.12"))) == verdict


def test_a_wrapped_function_may_have_another_signature(fingerprint: Fingerprints) -> None:
    @functools.wraps(predict)
    def wrapper(one: Any, two: Any, three: Any) -> Any:
        return one, two, three

    assert verdicts(judge(fingerprint(in_main(wrapper)), Image("3.12"), pins("3.12"))) == {"wrong_arity": "may_fail"}


@pytest.mark.parametrize("protocol", range(6))
def test_code_is_read_in_every_protocol(protocol: int, tmp_path: Path) -> None:
    path = tmp_path / "model.pkl"
    path.write_bytes(cloudpickle.dumps(predict, protocol=protocol))
    found = read(path)
    assert found.python_version == f"{sys.version_info[0]}.{sys.version_info[1]}"
    assert found.parameters == ("live_features", "live_benchmark_models")
    assert found.features == ("feature_one", "feature_two")
    assert found.protocol == (protocol if protocol > 1 else None)


def test_numpy_2_arrays_fail_on_numpy_1_only_at_protocol_5(tmp_path: Path) -> None:
    path = tmp_path / "array.pkl"
    for protocol, expected in ((4, None), (5, "will_fail")):
        path.write_bytes(pickle.dumps(np.arange(3.0), protocol=protocol))
        assert verdicts(judge(read(path), Image("3.10"), pins("3.10"))).get("numpy_major") == expected


def test_a_fallback_to_random_numbers_is_seen(fingerprint: Fingerprints) -> None:
    @in_main
    def hides(live_features: Any) -> Any:
        try:
            return live_features.rank(pct=True)
        except Exception:  # noqa: BLE001
            return np.random.rand(len(live_features))

    @in_main
    def narrow(live_features: Any) -> Any:
        try:
            return live_features.rank(pct=True)
        except KeyError:
            return np.random.rand(len(live_features))

    assert fingerprint(hides).hides_failures
    assert not fingerprint(narrow).hides_failures


def test_names_of_variables_and_of_library_settings_are_no_features(fingerprint: Fingerprints) -> None:
    feature_cols = ["feature_one"]

    @in_main
    def names(live_features: Any) -> Any:
        feature_total = live_features[feature_cols]
        return feature_total, {"feature_fraction": 0.1, "feature_names_in_": None}

    assert fingerprint(names).features == ("feature_one",)


def test_features_in_arrays_and_in_texts_are_found(fingerprint: Fingerprints) -> None:
    text = "tree\nfeature_names=feature_a_b feature_c_d\nfeature_infos=none\n" + "x" * 300_000
    found = fingerprint([np.array(["feature_e_f", "feature_gg_h"]), text])
    assert found.features == ("feature_a_b", "feature_c_d", "feature_e_f", "feature_gg_h")


def test_embedded_objects_come_with_their_sizes(fingerprint: Fingerprints) -> None:
    found = fingerprint({"weights": np.zeros((300, 300)), "functions": [predict]})
    sizes = {one.kind: (one.count, one.size_bytes) for one in found.embedded}
    assert sizes["numpy.ndarray"][0] == 1
    assert 720_000 <= sizes["numpy.ndarray"][1] < 721_000
    assert sizes["code"][0] == 1


@pytest.mark.parametrize("minor", ["3.10", "3.11", "3.12", "3.13"])
def test_import_names_are_found_among_the_pins(minor: str) -> None:
    versions = pins(minor).versions
    for package in ("sklearn", "numpy", "pandas", "scipy", "lightgbm", "torch", "dateutil", "PIL", "yaml", "_catboost"):
        assert provides(versions, package), package
    assert not provides(versions, "agents")
