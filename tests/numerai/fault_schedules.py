"""Seeded fault schedules: whatever fails and whenever we are killed, repeated calls end with exactly one registration.

    python tests/numerai/fault_schedules.py --schedules 500 [--first-seed 0]

A schedule has a transport, one upload or a deployment of ten slots, faults of all kinds at random calls, and in a
share of them a SIGKILL of the calling process at a random moment. Calls are repeated until one succeeds; then what
Numerai holds is compared with the files. Some schedules are refused for good: then nothing may be registered.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import hashlib
import multiprocessing
import os
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from server.errors import CredentialsMissing, NumeraiFailure, NumeraiRefused  # noqa: E402
from server.local_numerai.app import LocalNumerai  # noqa: E402
from server.local_numerai.faults import FaultKind, Faults  # noqa: E402
from server.numerai.account import choose_data_version, choose_image  # noqa: E402
from server.numerai.client import Numerai, open_numerai  # noqa: E402
from server.numerai.deploy import Deployment, deploy  # noqa: E402
from server.numerai.pace import Pace, Waits  # noqa: E402
from server.numerai.types import Account  # noqa: E402
from server.numerai.upload import UploadRequest, upload  # noqa: E402
from server.settings import Settings  # noqa: E402
from tests.numerai.serving import TransportName, serving, settings_for  # noqa: E402

CHILDREN = multiprocessing.get_context("forkserver")
"""Children that start in milliseconds, with the code imported, and share nothing with this process."""
os.environ["PYTHONPATH"] = str(ROOT)
CHILDREN.set_forkserver_preload(
    ["tests.numerai.fault_schedules", "server.numerai.graphql", "server.numerai.mcp_transport"]
)

SLOTS = 10
MOST_CALLS = 40
HURRIED = Pace(
    attempts=3,
    retry=Waits(0.01, longest=0.05),
    looks=5,
    look=Waits(0.05, longest=0.3),
    poll=Waits(0.01, longest=0.1),
    call_seconds=0.6,
    watch_seconds=20.0,
)


@dataclass(frozen=True)
class Schedule:
    """What goes wrong, all by the seed."""

    seed: int
    transport: TransportName
    slots: int
    kills: int
    refused: str | None
    """`webhook` or `scope`: why Numerai would say no; None: it would not."""
    faults: Faults

    @staticmethod
    def of(seed: int, *, killing: float = 0.2) -> Schedule:
        chance = random.Random(seed)
        kinds: list[FaultKind] = [kind for kind in get_args(FaultKind) if chance.random() < 0.6] or ["reset_after"]
        slow = sum("hang" in kind or kind == "slow_body" for kind in kinds)
        return Schedule(
            seed=seed,
            transport=chance.choice(("graphql", "mcp")),
            slots=SLOTS if chance.random() < 0.3 else 1,
            kills=chance.randint(1, 3) if chance.random() < killing else 0,
            refused=chance.choice(("webhook", "scope")) if chance.random() < 0.1 else None,
            faults=Faults(
                rate=chance.uniform(0.1, 0.6), seed=seed, most=chance.randint(1, 6 if slow else 15), kinds=kinds
            ),
        )


@dataclass
class Report:
    """What came of a schedule. `problem` None: as it must."""

    schedule: Schedule
    calls: int = 0
    killed: int = 0
    faults: int = 0
    ended: str = ""
    problem: str | None = None


def run_schedule(schedule: Schedule, folder: Path) -> Report:
    """Run one schedule against an embedded Numerai of its own."""
    report = Report(schedule)
    with serving(folder / "numerai") as local:
        prepare(local, schedule, folder)
        local.faults.set(schedule.faults)
        chance = random.Random(schedule.seed + 1)
        while report.calls < MOST_CALLS and not report.ended:
            report.calls += 1
            if report.killed < schedule.kills:
                report.killed += call_and_kill(local, schedule, folder, chance)
                continue
            try:
                asyncio.run(work(settings(local, schedule, folder), schedule.slots))
                report.ended = "registered"
            except NumeraiFailure as error:
                if schedule.refused and isinstance(error, NumeraiRefused | CredentialsMissing) and refusing(error):
                    report.ended = "refused"
            # A process that was killed may have left a request on its way.
        report.faults = len(local.faults.injected)
        report.problem = judge(local, schedule, folder, report.ended)
    return report


def refusing(error: NumeraiFailure) -> bool:
    return "webhook" in str(error) or "scope" in str(error)


def prepare(local: LocalNumerai, schedule: Schedule, folder: Path) -> None:
    chance = random.Random(schedule.seed)
    for number in range(1, schedule.slots):
        local.store.add_model(f"slot_{number}")
    for number in range(schedule.slots):
        # Three slots share a file, so that equal files are among the deployments.
        content = random.Random(f"{schedule.seed} {number // 3}").randbytes(chance.choice((1, 200_000)))
        (folder / f"model_{number}.pkl").write_bytes(bytes([number // 3]) + content)
    if schedule.refused == "webhook":
        for slot in local.store.models.values():
            slot["submissionWebhook"] = "https://hooks.example/secret"
    if schedule.refused == "scope":
        local.store.scopes.remove("upload_submission")


def settings(local: LocalNumerai, schedule: Schedule, folder: Path) -> Settings:
    return settings_for(local.api_url, local.mcp_url, local.token, folder, schedule.transport)


async def work(settings: Settings, slots: int) -> None:
    """One call, as a tool makes it."""
    async with open_numerai(settings, HURRIED) as numerai:
        account = await numerai.account()
        requests = await requests_for(numerai, account, settings.workspace)
        if slots == 1:
            await upload(numerai, requests[0], state_dir=settings.state_dir)
            return
        deployments = [Deployment(request.slot, upload=request) for request in requests]
        result = await deploy(numerai, deployments, state_dir=settings.state_dir)
        errors = [slot.error for slot in result.slots if slot.error]
        if errors:
            raise NumeraiFailure("Some slots are not done.", evidence=errors[0])


async def requests_for(numerai: Numerai, account: Account, folder: Path) -> list[UploadRequest]:
    image = choose_image(await numerai.docker_images())
    version = choose_data_version(await numerai.data_versions())
    slots = sorted(account.models, key=lambda slot: slot.name)
    return [
        UploadRequest(folder / f"model_{number}.pkl", slot, image, version, assign=True)
        for number, slot in enumerate(slots)
    ]


def call_and_kill(local: LocalNumerai, schedule: Schedule, folder: Path, chance: random.Random) -> int:
    """The same call in a process that is killed at a random moment; 1 if it was still at work."""
    child = CHILDREN.Process(
        target=work_in_child, args=(settings(local, schedule, folder), schedule.slots), daemon=True
    )
    child.start()
    child.join(chance.expovariate(1 / (0.1 if schedule.slots == 1 else 0.4)))
    child.kill()
    child.join()
    return int((child.exitcode or 0) < 0)


def work_in_child(settings: Settings, slots: int) -> None:
    # What it would say of its failure is not looked at: the caller calls again.
    with contextlib.suppress(NumeraiFailure):
        asyncio.run(work(settings, slots))


def judge(local: LocalNumerai, schedule: Schedule, folder: Path, ended: str) -> str | None:
    """What is wrong with what Numerai holds now; None where nothing is."""
    pickles = list(local.store.pickles.values())
    registered = Counter(local.store.files[pickle["filename"]]["sha256"] for pickle in pickles)
    if schedule.refused:
        return None if ended == "refused" and not pickles else f"ended {ended!r} with {len(pickles)} registered"
    if ended != "registered":
        return "never ended"
    files = sorted(folder.glob("model_*.pkl"))
    wanted = {hashlib.sha256(file.read_bytes()).hexdigest() for file in files}
    if registered != Counter(wanted):
        return f"registered {sorted(registered.values())} times, wrong bytes: {len(registered.keys() - wanted)}"
    idle = [slot["name"] for slot in local.store.models.values() if slot["assigned"] is None]
    return f"not assigned: {idle}" if idle else None


def run_all(seeds: Sequence[int], *, killing: float = 0.2) -> list[Report]:
    """Run the schedules of these seeds, two at a time: most of their time is waiting."""

    def run(seed: int) -> Report:
        with tempfile.TemporaryDirectory() as folder:
            return run_schedule(Schedule.of(seed, killing=killing), Path(folder))

    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(run, seeds))


def summary(reports: Sequence[Report]) -> str:
    """One line: schedules, kills, outcomes."""
    ended = Counter(report.ended or "unfinished" for report in reports)
    problems = [report.schedule.seed for report in reports if report.problem]
    return (
        f"{len(reports)} schedules ({sum(r.schedule.transport == 'mcp' for r in reports)} over MCP, "
        f"{sum(r.schedule.slots > 1 for r in reports)} deployments), {sum(r.faults for r in reports)} faults, "
        f"{sum(r.killed for r in reports)} kills, {sum(r.calls for r in reports)} calls: "
        f"{', '.join(f'{count} {word}' for word, count in sorted(ended.items()))}; problems at seeds {problems}"
    )


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--schedules", type=int, default=500)
    parser.add_argument("--first-seed", type=int, default=0)
    options = parser.parse_args()
    started = time.monotonic()
    reports = run_all(range(options.first_seed, options.first_seed + options.schedules))
    for report in reports:
        if report.problem:
            print(f"seed {report.schedule.seed}: {report.problem}")
    print(f"{summary(reports)} in {time.monotonic() - started:.0f} s")
    return int(any(report.problem for report in reports))


if __name__ == "__main__":
    sys.exit(main())
