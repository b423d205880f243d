"""Which part may import which, by the imports that the sources hold; and what the wheel holds."""

from __future__ import annotations

import ast
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def imports_of(path: Path) -> Iterator[tuple[str, bool]]:
    """(dotted module, whether at the module's top level and not only for types)."""
    tree = ast.parse(path.read_text())
    typing_only = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)
        for inner in ast.walk(node)
    }
    top = {id(node) for node in tree.body}
    for node in ast.walk(tree):
        if id(node) in typing_only:
            continue
        if isinstance(node, ast.Import):
            yield from ((alias.name, id(node) in top) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path} imports relatively"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            yield from ((name, id(node) in top) for name in names)


def sources(folder: str) -> list[Path]:
    return sorted((ROOT / folder).rglob("*.py"))


def is_under(module: str, *packages: str) -> bool:
    return any(module == package or module.startswith(f"{package}.") for package in packages)


@pytest.mark.parametrize("path", sources("bundle_core"), ids=lambda path: str(path.relative_to(ROOT)))
def test_bundle_core_stands_alone(path: Path) -> None:
    for module, _ in imports_of(path):
        assert not is_under(module, "server", "mcp", "mcp_types", "httpx", "pydantic", "anyio", "docker"), module


@pytest.mark.parametrize("path", sources("bundle_core/runtime"), ids=lambda path: path.stem)
def test_the_runtime_needs_nothing_that_the_image_lacks(path: Path) -> None:
    """It ships inside pickles: numpy and pandas, scipy and the standard library where a step needs them, itself."""
    for module, at_top in imports_of(path):
        package = module.partition(".")[0]
        ours = is_under(module, "bundle_core.runtime")
        lazy = package == "scipy" and not at_top
        assert ours or lazy or package in ("numpy", "pandas") or package in sys.stdlib_module_names, module


@pytest.mark.parametrize("path", sources("bundle_core/runtime"), ids=lambda path: path.stem)
def test_the_runtime_is_plain_functions(path: Path) -> None:
    """Classes and set literals make the pickle's bytes differ from build to build."""
    for node in ast.walk(ast.parse(path.read_text())):
        assert not isinstance(node, ast.ClassDef | ast.Set | ast.SetComp), f"line {node.lineno}"


@pytest.mark.parametrize("path", sources("bundle_core/ir"), ids=lambda path: path.stem)
def test_the_ir_needs_numpy_only(path: Path) -> None:
    for module, _ in imports_of(path):
        package = module.partition(".")[0]
        ours = is_under(module, "bundle_core.ir", "bundle_core.errors", "bundle_core.typed_json")
        assert ours or package == "numpy" or package in sys.stdlib_module_names, module


@pytest.mark.parametrize("path", sources("server/diagnosis"), ids=lambda path: path.stem)
def test_the_diagnosis_needs_nothing_of_the_server(path: Path) -> None:
    for module, _ in imports_of(path):
        assert not is_under(module, "server") or is_under(module, "server.diagnosis"), module


@pytest.mark.parametrize("path", sources("server/runners"), ids=lambda path: path.stem)
def test_the_runners_know_nothing_of_numerais_api(path: Path) -> None:
    for module, _ in imports_of(path):
        allowed = is_under(module, "server.runners", "server.errors")
        assert not is_under(module, "server") or allowed, module


@pytest.mark.parametrize("path", sources("server/numerai"), ids=lambda path: path.stem)
def test_the_client_knows_nothing_of_the_tools(path: Path) -> None:
    for module, _ in imports_of(path):
        assert not is_under(module, "server.tools", "server.app", "server.local_numerai"), module


@pytest.mark.parametrize("path", sources("server"), ids=lambda path: str(path.relative_to(ROOT)))
def test_the_server_takes_only_types_and_requests_of_bundle_core(path: Path) -> None:
    """All else of bundle_core runs in an interpreter of its own."""
    light = ("reports", "typed_json", "fingerprint", "pipeline", "errors", "feature_names")
    for module, _ in imports_of(path):
        if is_under(module, "bundle_core") and module != "bundle_core":
            assert is_under(module, *(f"bundle_core.{name}" for name in light)), module


def test_the_wheel_holds_the_data_and_no_tests(tmp_path: Path) -> None:
    command = ["uv", "build", "-q", "--wheel", "--out-dir", str(tmp_path), str(ROOT)]
    subprocess.run([sys.executable, "-m", *command], check=True)
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    for needed in (
        "server/runners/runtimes/py3.12.txt",
        "server/runners/harness/predict.py",
        "server/local_numerai/schema.graphql",
        "server/diagnosis/catalogue.toml",
        "server/demo/data/model.txt.xz",
        "server/agent_prompts/numerai-model-upload/SKILL.md",
        "bundle_core/pipeline.schema.json",
    ):
        assert needed in names, needed
    tops = {name.partition("/")[0] for name in names if ".dist-info" not in name}
    assert tops == {"server", "bundle_core"}
