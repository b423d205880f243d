"""Run a pickle in a venv that matches the image, where no engine has the image."""

from __future__ import annotations

from pathlib import Path

import anyio

from server.errors import EnvironmentFailure
from server.runners.child import child_environment, run_child
from server.runners.owner import private_folder
from server.runners.stage import INPUTS, LOG_NAME, keep_outputs, log_tail, stage_inputs
from server.runners.types import Progress, RunReport, RunRequest, silent

VERSION = "import sys; print('%d.%d' % sys.version_info[:2])"


async def run_in_venv(request: RunRequest, interpreter: Path, *, progress: Progress = silent) -> RunReport:
    """Run the harness in `interpreter` on copies of the request's files, with the limits of time, memory and CPUs.

    What it proves less than the container: the network and this user's files are within reach, the system's libraries
    are this machine's, and memory is limited by process (its private memory, on Linux), so that a model over the limit
    sees a MemoryError rather than a kill.

    Raises:
        EnvironmentFailure: the interpreter does not run.
    """
    with private_folder() as stage:
        await anyio.to_thread.run_sync(stage_inputs, request, stage, "predict.py")
        # Nothing of the user's home: neither credentials nor caches.
        env = {**child_environment(), "HOME": str(stage / "output"), "USERPROFILE": str(stage / "output")}
        asked = await run_child([interpreter, "-I", "-c", VERSION], env=env, cwd=stage, timeout_seconds=30)
        if asked.exit_code != 0:
            raise EnvironmentFailure(
                f"The interpreter {interpreter} does not run.",
                evidence=asked.stderr.decode(errors="replace").strip()[-500:],
                next_step="Make the venv again with make_venv(recreate=true).",
            )
        await progress(f"Running in {interpreter}")
        inputs = stage / "input"
        options = [f"--{option}={inputs / file}" for option, file in INPUTS.items()]
        ended = await run_child(
            # Isolated: neither the script's folder nor the user's packages are importable, as in the image.
            [interpreter, "-I", inputs / "predict.py", "--debug", *options, f"--output_dir={stage / 'output'}"],
            env=env,
            cwd=stage,
            timeout_seconds=request.limits.timeout_seconds,
            memory_bytes=request.limits.memory_mb * 2**20,
            cpus=request.limits.cpus,
            stderr_to_stdout=True,
        )
        csv = await anyio.to_thread.run_sync(keep_outputs, stage, request.output_dir, ended.stdout)
    return RunReport(
        runner="venv",
        environment=str(interpreter),
        python_version=asked.stdout.decode().strip(),
        image_digest=None,
        stand_in=False,
        emulated=False,
        exit_code=ended.exit_code,
        timed_out=ended.timed_out,
        oom_killed=False,
        seconds=ended.seconds,
        peak_memory_mb=ended.peak_memory_bytes / 2**20 if ended.peak_memory_bytes else None,
        log=log_tail(ended.stdout),
        log_path=request.output_dir / LOG_NAME,
        predictions_csv=csv,
    )
