"""Runs in the container: every failure really happens, production's limits really hold, nothing is left."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import anyio
import pytest

from server.errors import EngineFailure, ImageMissing, InputError
from server.runners.container import INPUT, OUTPUT, run_in_container
from server.runners.engine import find_image, local_image, open_engine
from server.runners.types import DockerImage, RunReport, RunRequest

pytestmark = pytest.mark.requires("docker", "image:3.12", "python:3.12")
Requests = Callable[..., RunRequest]
Images = Callable[[str], DockerImage]
Containers = Callable[..., list[str]]
Run = Callable[..., Awaitable[RunReport]]

SERVER = """
import sys
from pathlib import Path
import anyio
from server.runners.container import INPUT, OUTPUT, run_in_container
from server.runners.types import DockerImage, RunRequest

folder, output = Path(sys.argv[1]), Path(sys.argv[2])
request = RunRequest(folder / "forever.pkl", folder / "live.parquet", folder / "benchmarks.parquet", output)
anyio.run(run_in_container, request, DockerImage(None, "", "numerai_predict_py_3_12", "a78dedd"))
"""


@pytest.fixture(autouse=True)
def nothing_is_left(containers: Containers, temporary: Path) -> Iterator[None]:
    """After each test here there is no container and no temporary file of ours."""
    yield
    assert containers() == []
    assert not list(temporary.iterdir())


@pytest.fixture
def run(request_for: Requests, image: Images) -> Run:
    def call(model: str, *, minor: str = "3.12", **more: object) -> Awaitable[RunReport]:
        return run_in_container(request_for(model, **more), image(minor))

    return call


async def test_a_good_model_gives_its_predictions_and_its_limits_are_measured(run: Run, tmp_path: Path) -> None:
    report = await run("good")
    assert (report.exit_code, report.timed_out, report.oom_killed) == (0, False, False)
    assert "Generated 200 predictions" in report.log
    assert report.predictions_csv
    assert report.predictions_csv.parent == tmp_path
    assert len(report.predictions_csv.read_text().splitlines()) == 201
    assert report.log_path.read_text() == report.log
    assert report.seconds > 0.1
    assert report.peak_memory_mb
    assert 40 < report.peak_memory_mb < 600


async def test_a_stand_in_is_said_to_be_one(run: Run) -> None:
    report = await run("one_parameter")
    assert (report.stand_in, report.emulated, report.python_version) == (True, False, "3.12")
    assert report.image_digest
    assert report.image_digest.startswith("sha256:")


async def test_peak_memory_is_what_the_model_took(run: Run) -> None:
    report = await run("some_memory")
    assert report.peak_memory_mb
    assert 200 < report.peak_memory_mb < 700


@pytest.mark.requires("python:3.11")
async def test_bytecode_of_another_python_does_not_predict(run: Run) -> None:
    report = await run("good", built_with="3.11")
    assert report.exit_code != 0
    assert report.predictions_csv is None


@pytest.mark.requires("image:3.11", "python:3.11")
async def test_the_image_of_another_python_runs_what_was_built_for_it(run: Run) -> None:
    report = await run("good", minor="3.11", built_with="3.11")
    assert (report.exit_code, report.python_version) == (0, "3.11")
    assert report.predictions_csv


async def test_a_model_that_takes_too_much_memory_is_killed_by_the_kernel(run: Run) -> None:
    report = await run("memory", memory_mb=250)
    assert (report.oom_killed, report.exit_code, report.timed_out) == (True, 137, False)
    assert report.peak_memory_mb == pytest.approx(250, abs=2)  # pyright: ignore[reportUnknownMemberType]


async def test_a_model_that_takes_too_long_is_ended(run: Run) -> None:
    report = await run("forever", timeout=2)
    assert (report.timed_out, report.exit_code, report.oom_killed) == (True, None, False)
    assert "Predicting on 200 rows" in report.log
    assert report.peak_memory_mb


async def test_the_engine_is_given_productions_limits_and_only_the_needed_files(
    request_for: Requests, image: Images, containers: Containers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "config.json").write_text('{"proxies": {"default": {"httpProxy": "http://user:password@proxy"}}}')
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run_in_container, request_for("forever"), image("3.12"))
        await appears(containers, os.getpid())
        inspected = subprocess.run(["docker", "inspect", *containers()], check=True, capture_output=True)
        facts = json.loads(inspected.stdout)[0]
        tasks.cancel_scope.cancel()
    limits = facts["HostConfig"]
    assert (limits["Memory"], limits["MemorySwap"], limits["NanoCpus"]) == (2**30, 2**30, 10**9)
    assert (limits["NetworkMode"], limits["ReadonlyRootfs"], limits["Privileged"]) == ("none", True, False)
    assert (limits["CapDrop"], limits["SecurityOpt"], limits["PidsLimit"]) == (["ALL"], ["no-new-privileges"], 256)
    assert facts["Config"]["User"].partition(":")[0] not in ("", "0")
    assert {mount["Destination"]: mount["RW"] for mount in facts["Mounts"]} == {INPUT: False, OUTPUT: True}
    assert not [variable for variable in facts["Config"]["Env"] if "PROXY" in variable.upper()]


async def test_a_segmentation_fault_is_told_by_its_exit_code(run: Run) -> None:
    report = await run("segfault")
    assert (report.exit_code, report.oom_killed, report.predictions_csv) == (139, False, None)


async def test_there_is_no_network(run: Run) -> None:
    report = await run("network")
    assert report.exit_code == 1
    assert "Temporary failure in name resolution" in report.log


async def test_a_model_that_exits_by_itself_leaves_status_zero_and_no_predictions(run: Run) -> None:
    report = await run("leaves")
    assert (report.exit_code, report.predictions_csv) == (0, None)
    assert "Generated" not in report.log


async def test_the_root_file_system_is_read_only(run: Run) -> None:
    report = await run("writes")
    assert report.exit_code == 1
    assert "Read-only file system: '/written-by-a-model'" in report.log


async def test_a_link_that_the_model_left_is_not_followed_on_this_machine(run: Run) -> None:
    report = await run("links")
    assert (report.exit_code, report.predictions_csv) == (0, None)


async def test_of_an_endless_log_the_end_is_shown(run: Run) -> None:
    report = await run("floods")
    assert "Generated 200 predictions" in report.log
    assert len(report.log) <= 64 * 1024 < report.log_path.stat().st_size


async def test_a_missing_image_is_named_and_not_pulled_unasked(request_for: Requests) -> None:
    lacking = DockerImage(None, "", "numerai_predict_py_3_12", "0000000")
    with pytest.raises(ImageMissing, match=lacking.reference) as caught:
        await run_in_container(request_for("good"), lacking)
    assert "pull=true" in caught.value.next_step
    assert await local_image(lacking.reference) is None


async def test_a_missing_file_is_named(request_for: Requests, image: Images, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no-such\.pkl cannot be read"):
        await run_in_container(request_for("no-such"), image("3.12"))


async def test_an_engine_that_is_down_is_told_from_a_missing_image(
    request_for: Requests, image: Images, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for host in (f"unix://{tmp_path}/none.sock", "tcp://127.0.0.1:9"):
        with monkeypatch.context() as patch:
            patch.setenv("DOCKER_HOST", host)
            with pytest.raises(EngineFailure, match="No docker engine answers") as caught:
                await run_in_container(request_for("good"), image("3.12"))
        assert "runner=venv" in caught.value.next_step


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
def test_a_user_without_the_right_is_told_so() -> None:
    code = """
import anyio, os
from server.runners.engine import local_image
anyio.run(local_image, "x")
os.setgroups([])
os.setgid(65534)
os.setuid(65534)
anyio.run(local_image, "x")
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "This user may not use the docker engine." in ran.stderr


@pytest.mark.skipif(os.getuid() != 0, reason="only root can hide a folder from the engine")
def test_an_engine_that_does_not_see_our_files_is_told_so(models: Callable[[str], Path], tmp_path: Path) -> None:
    hidden = tmp_path / "hidden"
    hidden.mkdir()
    inner = [sys.executable, "-c", SERVER, str(models("3.12")), str(tmp_path)]
    command = ["unshare", "-m", "sh", "-c", 'mount -t tmpfs none "$TMPDIR" && exec "$@"', "sh", *inner]
    ran = subprocess.run(command, env={**os.environ, "TMPDIR": str(hidden)}, capture_output=True, text=True)
    assert "The docker engine does not see this machine's files" in ran.stderr


async def test_a_cancelled_run_leaves_no_container(
    request_for: Requests, image: Images, containers: Containers
) -> None:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run_in_container, request_for("forever"), image("3.12"))
        await appears(containers, os.getpid())
        tasks.cancel_scope.cancel()
    assert containers() == []


async def test_what_a_killed_server_left_is_removed_by_the_next(
    models: Callable[[str], Path], containers: Containers, tmp_path: Path, temporary: Path, run: Run
) -> None:
    command = [sys.executable, "-c", SERVER, models("3.12"), tmp_path]
    async with await anyio.open_process(command, env={**os.environ, "TMPDIR": str(temporary)}) as server:
        await appears(containers, server.pid)
        await run("good")
        assert len(containers(server.pid)) == 1, "the container of a living server was removed"
        server.kill()
    assert len(containers(server.pid)) == 1
    await run("good")
    assert containers(server.pid) == []


@pytest.fixture
def image_without_python(image: Images, tmp_path: Path) -> Iterator[Callable[[str], DockerImage]]:
    """`image_without_python(code)`: an image whose entry point, for all that the engine knows, is no Python."""
    made = DockerImage(None, "", "numerai_predict_py_3_12", "starts-no-python")

    def build(code: str) -> DockerImage:
        (tmp_path / "entry").write_text(f"#!/usr/local/bin/python\n{code}\n")
        (tmp_path / "entry").chmod(0o755)
        dockerfile = f'FROM {image("3.12").reference}\nCOPY entry /\nENTRYPOINT ["/entry"]\n'
        (tmp_path / "Dockerfile").write_text(dockerfile)
        command = ["docker", "build", "-q", "-t", made.reference, str(tmp_path)]
        subprocess.run(command, check=True, capture_output=True, env={**os.environ, "DOCKER_BUILDKIT": "0"})
        return made

    yield build
    subprocess.run(["docker", "rmi", "-f", made.reference], check=True, capture_output=True)


async def test_an_image_that_starts_no_python_runs_without_a_figure_for_its_memory(
    request_for: Requests, image_without_python: Callable[[str], DockerImage]
) -> None:
    report = await run_in_container(request_for("good"), image_without_python("print('Generated 0 predictions')"))
    assert (report.exit_code, report.peak_memory_mb, report.predictions_csv) == (0, None, None)
    assert "Generated 0 predictions" in report.log


async def test_the_time_limit_ends_it_too(
    request_for: Requests, image_without_python: Callable[[str], DockerImage]
) -> None:
    endless = image_without_python("import time; print('Predicting', flush=True); time.sleep(600)")
    report = await run_in_container(request_for("good", timeout=1.5), endless)
    assert (report.timed_out, report.exit_code) == (True, None)
    assert "Predicting" in report.log


async def test_what_the_engine_has_is_described(image: Images) -> None:
    async with open_engine() as client:
        found = await find_image(client, image("3.12").reference)
    assert found
    assert (found.interpreter, found.entry_point, found.stand_in) == ("python", ("python", "predict.py"), True)


async def test_an_image_for_another_machine_is_said_to_be_emulated(tmp_path: Path) -> None:
    reference = "ghcr.io/numerai/numerai_predict_py_3_12:other-machine"
    other = "amd64" if platform.machine() in ("arm64", "aarch64") else "arm64"
    (tmp_path / "manifest.json").write_text(
        json.dumps([{"Config": "config.json", "RepoTags": [reference], "Layers": []}])
    )
    (tmp_path / "config.json").write_text(
        json.dumps({"architecture": other, "os": "linux", "rootfs": {"type": "layers", "diff_ids": []}})
    )
    packed = subprocess.run(
        ["tar", "-C", tmp_path, "-c", "manifest.json", "config.json"], check=True, capture_output=True
    )
    subprocess.run(["docker", "load"], input=packed.stdout, check=True, capture_output=True)
    try:
        found = await local_image(reference)
    finally:
        subprocess.run(["docker", "rmi", "-f", reference], check=True, capture_output=True)
    assert found
    assert (found.architecture, found.emulated, found.stand_in) == (other, True, False)


async def appears(containers: Containers, pid: int) -> None:
    deadline = time.monotonic() + 30
    while not containers(pid):
        assert time.monotonic() < deadline
        await anyio.sleep(0.02)
