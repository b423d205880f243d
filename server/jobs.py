"""Long work as jobs: kept on disk, so that a result outlives the call, the client and the server process."""

from __future__ import annotations

import json
import logging
import os
import re
import secrets
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import anyio
from anyio.abc import TaskGroup
from pydantic import BaseModel

from server.errors import JobFailure, PickleMcpError
from server.redaction import failure_text

Progress = Callable[[str], Awaitable[None]]
Work = Callable[[Progress], Awaitable[BaseModel]]
"""The work of a job: says what it is doing through Progress, returns the tool's result."""

logger = logging.getLogger(__name__)

MAX_RUNNING = 8
KEPT_SECONDS = 7 * 24 * 3600.0
HEARTBEAT_SECONDS = 3.0


class JobRecord(BaseModel):
    """One job as it stands on disk."""

    id: str
    tool: str
    status: Literal["running", "done", "failed", "cancelled"]
    started: float
    owner_pid: int
    owner_started: float
    progress: str = ""
    result: dict[str, Any] | None = None
    error: str | None = None


@dataclass
class _Running:
    record: JobRecord
    same_as: str
    scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)
    changed: anyio.Event = field(default_factory=anyio.Event)
    finished: anyio.Event = field(default_factory=anyio.Event)


class Jobs:
    """The jobs of this server process, and the records of earlier ones."""

    def __init__(self, folder: Path, tasks: TaskGroup) -> None:
        self._folder = folder
        self._tasks = tasks
        self._running: dict[str, _Running] = {}
        self._closing = False

    async def start(self, tool: str, arguments: dict[str, Any], work: Work) -> tuple[str, bool]:
        """Start the work, or join the running job of the same tool with the same arguments.

        Gives the job's id, and whether this call started it.

        Raises:
            JobFailure: too many jobs run already, or the server is stopping.
        """
        same_as = json.dumps([tool, arguments], sort_keys=True, default=str)
        for running in self._running.values():
            if running.same_as == same_as:
                return running.record.id, False
        if self._closing or len(self._running) >= MAX_RUNNING:
            cause = "The server is stopping." if self._closing else f"{MAX_RUNNING} jobs are running already."
            raise JobFailure(cause, next_step="Wait for one with get_job, or end one with cancel_job.")
        record = JobRecord(
            id=f"{tool}-{secrets.token_hex(4)}",
            tool=tool,
            status="running",
            started=time.time(),
            owner_pid=os.getpid(),
            owner_started=_process_started(os.getpid()) or 0.0,
        )
        self._forget_old()
        self._write(record)
        running = self._running[record.id] = _Running(record, same_as)
        self._tasks.start_soon(self._run, running, work)
        return record.id, True

    async def wait(self, job_id: str, seconds: float, report: Progress) -> JobRecord:
        """The job's record once it has ended or `seconds` have passed, with its progress passed on meanwhile.

        Raises:
            JobFailure: unknown, or its server died.
        """
        running = self._running.get(job_id)
        if running is None:
            return self._read(job_id)
        with anyio.move_on_after(seconds):
            while not running.finished.is_set():
                changed = running.changed
                with anyio.move_on_after(HEARTBEAT_SECONDS):
                    await changed.wait()
                elapsed = time.time() - running.record.started
                await report(f"{running.record.progress or running.record.tool} ({elapsed:.0f} s)")
        return running.record

    async def cancel(self, job_id: str) -> JobRecord:
        """End the job with everything that it started; its record once it has ended.

        Raises:
            JobFailure: unknown, or its server died.
        """
        running = self._running.get(job_id)
        if running is None:
            return self._read(job_id)
        running.scope.cancel()
        await running.finished.wait()
        return running.record

    async def close(self) -> None:
        """End all jobs, and take no new ones."""
        self._closing = True
        with anyio.CancelScope(shield=True):
            for job_id in list(self._running):
                await self.cancel(job_id)

    async def _run(self, running: _Running, work: Work) -> None:
        record = running.record

        async def progress(line: str) -> None:
            record.progress = line[:300]
            running.changed.set()
            running.changed = anyio.Event()

        try:
            with running.scope:
                result = await work(progress)
                record.result = result.model_dump(mode="json")
                record.status = "done"
            if running.scope.cancelled_caught:
                record.status = "cancelled"
        except PickleMcpError as failure:
            record.status, record.error = "failed", failure_text(failure)
        except Exception:
            # The boundary of a job: whatever it is, it must not take the server and the other jobs down.
            logger.exception("job %s failed unexpectedly", record.id)
            record.status, record.error = "failed", "An unexpected error in the server; its log has the details."
        finally:
            if record.status == "running":
                record.status = "cancelled"
            self._write(record)
            del self._running[record.id]
            running.finished.set()
            running.changed.set()

    def _write(self, record: JobRecord) -> None:
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = self._folder / f"{record.id}.json"
        aside = path.with_suffix(f".{os.getpid()}.tmp")
        aside.write_text(record.model_dump_json())
        aside.replace(path)

    def _read(self, job_id: str) -> JobRecord:
        path = self._folder / f"{job_id}.json"
        if not re.fullmatch(r"[a-z_]+-[0-9a-f]{8}", job_id) or not path.is_file():
            raise JobFailure(f"There is no job {job_id!r}.", next_step="Use the job_id that a tool returned.")
        record = JobRecord.model_validate_json(path.read_text())
        if record.status == "running" and _process_started(record.owner_pid) != record.owner_started:
            raise JobFailure(
                f"The job {job_id} was interrupted: the server that ran it has ended.",
                evidence=f"Its last progress: {record.progress or 'none'}.",
                next_step=f"Call {record.tool} again with the same arguments; it goes on where that is possible.",
            )
        return record

    def _forget_old(self) -> None:
        if self._folder.is_dir():
            for path in self._folder.glob("*.json"):
                if path.stat().st_mtime < time.time() - KEPT_SECONDS:
                    path.unlink(missing_ok=True)


def _process_started(pid: int) -> float | None:
    """When the process began, in the platform's own unit; None where it is gone. A pid alone may have been reused."""
    stat = Path(f"/proc/{pid}/stat")
    if stat.parent.parent.joinpath("self").exists():
        try:
            return float(stat.read_text().rpartition(")")[2].split()[19])
        except OSError:
            return None
    try:
        os.kill(pid, 0)
    except OSError:
        return None
    return 0.0
