"""What happens to a registered pickle: it is run, and the outcome becomes statuses, logs and triggers."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import anyio
from anyio.abc import TaskGroup

from server.errors import PickleMcpError
from server.local_numerai.runs import Run, live_ids
from server.local_numerai.store import Record, Store, load_world, new_id
from server.local_numerai.verdict import NO_OPEN_ROUNDS, model_failure, submission_failure
from server.runners.types import DockerImage


class Validation:
    """Runs triggers one after the other, in `tasks`."""

    def __init__(self, store: Store, run: Run | None, tasks: TaskGroup, round_open: Callable[[], bool]) -> None:
        """`run` None: every pickle whose bytes came passes, without a run."""
        self._store = store
        self._run = run
        self._tasks = tasks
        self._round_open = round_open
        self._turn = anyio.Lock()

    def start(self, trigger: Record) -> None:
        """Run the trigger in the background."""
        self._tasks.start_soon(self._execute, trigger)

    def resume(self) -> None:
        """Run what a stopped server left unfinished."""
        for trigger in list(self._store.triggers.values()):
            if trigger["status"] in ("queued", "running"):
                self.start(trigger)

    async def _execute(self, trigger: Record) -> None:
        async with self._turn:
            pickle = self._store.pickles[trigger["computePickleUploadId"]]
            self._store.set_status(trigger, "running")
            failure = await self._model_failure(trigger, pickle)
            validating = trigger["type"] == "validation"
            if failure:
                if validating:
                    pickle["validationStatus"] = "invalid"
                status, description = failure
                self._store.set_status(trigger, status, description)
                return
            if validating:
                pickle |= {"validationStatus": "validated", "diagnosticsStatus": "succeeded"}
                pickle["diagnosticsId"] = pickle["diagnosticsId"] or new_id()
            if self._round_open():
                trigger["submissionId"] = new_id()
                self._store.set_status(trigger, "submission_succeeded")
            else:
                self._store.set_status(trigger, "submission_failed", NO_OPEN_ROUNDS)

    async def _model_failure(self, trigger: Record, pickle: Record) -> tuple[str, str] | None:
        """Status and description of what went wrong; None where the predictions could be submitted."""
        path = self._store.pickle_folder / pickle["filename"]
        if not path.exists() or not path.stat().st_size:
            return "model_failed", "Invalid pickle - Ran out of input"
        if self._run is None:
            return None
        image = next(each for each in load_world()["docker_images"] if each["id"] == pickle["dockerImageId"])
        async with anyio.TemporaryDirectory(prefix="local-numerai-run-") as folder:
            try:
                report = await self._run(path, as_image(image), Path(folder))
            except PickleMcpError as error:
                self._log(trigger, str(error))
                return "error", f"The embedded Numerai could not run the pickle: {error.cause}"
            self._log(trigger, report.log)
            failure = model_failure(report)
            if failure:
                return "model_failed", failure
            assert report.predictions_csv
            failure = await anyio.to_thread.run_sync(
                lambda csv: submission_failure(csv, live_ids()), report.predictions_csv
            )
            return ("submission_failed", failure) if failure else None

    def _log(self, trigger: Record, text: str) -> None:
        moment = time.time_ns() // 1_000_000
        self._store.logs[trigger["id"]] += [{"timestamp": moment, "message": line} for line in text.splitlines()]


def as_image(record: Record) -> DockerImage:
    """The schema's docker image as the runners know it."""
    return DockerImage(
        id=record["id"],
        name=record["name"],
        image=record["image"],
        tag=record["tag"],
        default=record["default"],
        deprecated=record["deprecated"],
        experimental=record["experimental"],
    )
