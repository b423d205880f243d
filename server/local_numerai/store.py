"""What the embedded Numerai remembers: one JSON file and the uploaded pickles, in one folder, kept over a restart."""

from __future__ import annotations

import json
import secrets
import uuid
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from typing import Any

Record = dict[str, Any]
"""An object of the schema, its fields by their GraphQL names."""


def load_world() -> dict[str, Any]:
    """What is the same for every account: images, data versions, tournaments, scopes, datasets."""
    return json.loads((files("server.local_numerai") / "world.json").read_text("utf-8"))


def now() -> str:
    """This moment as the API's Time."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def new_id() -> str:
    """A fresh id."""
    return str(uuid.uuid4())


class Store:
    """The account's records by id. Whoever changes one calls `save`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.pickle_folder = folder / "pickles"
        self.pickle_folder.mkdir(parents=True, exist_ok=True)
        self._file = folder / "state.json"
        state: Record = json.loads(self._file.read_text("utf-8")) if self._file.exists() else _fresh_account()
        self.token: str = state["token"]
        self.signing_key: str = state["signing_key"]
        self.scopes: list[str] = state["scopes"]
        self.account: Record = state["account"]
        self.models: dict[str, Record] = state["models"]
        self.pickles: dict[str, Record] = state["pickles"]
        self.triggers: dict[str, Record] = state["triggers"]
        self.logs: dict[str, list[Record]] = state["logs"]
        """Log lines by trigger id."""
        self.files: dict[str, Record] = state["files"]
        """Issued file names; `size` and `sha256` once their bytes came."""
        self.save()

    def save(self) -> None:
        """Write everything, whole or not at all."""
        names = ("token", "signing_key", "scopes", "account", "models", "pickles", "triggers", "logs", "files")
        temporary = self._file.with_suffix(".new")
        temporary.write_text(json.dumps({name: getattr(self, name) for name in names}), "utf-8")
        temporary.chmod(0o600)
        temporary.replace(self._file)

    def add_model(self, name: str) -> Record:
        """A new Classic slot."""
        slot = new_slot(name)
        self.models[slot["id"]] = slot
        self.save()
        return slot

    def add_trigger(self, pickle_id: str, kind: str) -> Record:
        """A new execution of a pickle, waiting to run. `kind` is `validation` or `submission`."""
        trigger: Record = {
            "id": new_id(),
            "computePickleUploadId": pickle_id,
            "roundId": None,
            "submissionId": None,
            "type": kind,
            "status": None,
            "statuses": [],
            "insertedAt": now(),
            "updatedAt": now(),
        }
        self.triggers[trigger["id"]] = trigger
        self.logs[trigger["id"]] = []
        self.set_status(trigger, "queued")
        return trigger

    def set_status(self, trigger: Record, status: str, description: str | None = None) -> None:
        """One more step of an execution; the pickle shows its newest."""
        step = {"id": new_id(), "status": status, "description": description, "insertedAt": now(), "updatedAt": now()}
        trigger["statuses"].append({**step, "computePickleTriggerId": trigger["id"]})
        trigger["status"], trigger["updatedAt"] = status, now()
        pickle = self.pickles[trigger["computePickleUploadId"]]
        pickle["triggerStatus"], pickle["updatedAt"] = status, now()
        self.save()

    def triggers_of(self, pickle_id: str) -> list[Record]:
        """A pickle's executions, oldest first."""
        return [trigger for trigger in self.triggers.values() if trigger["computePickleUploadId"] == pickle_id]


def new_slot(name: str) -> Record:
    """A Classic slot's record. `assigned` is the id of its pickle."""
    return {
        "id": new_id(),
        "name": name,
        "username": name,
        "tournament": 8,
        "archived": False,
        "hidden": False,
        "computeEnabled": False,
        "isComputeWeekdayEnabled": True,
        "submissionWebhook": None,
        "assigned": None,
        "insertedAt": now(),
    }


def _fresh_account() -> Record:
    slot = new_slot("my_first_model")
    return {
        "token": f"LOCAL{secrets.token_hex(8).upper()}${secrets.token_hex(24).upper()}",
        "signing_key": secrets.token_hex(32),
        "scopes": [scope["name"] for scope in load_world()["scopes"]],
        "account": {
            "id": new_id(),
            "username": "local_account",
            "email": "local@localhost",
            "status": "VERIFIED",
            "maxModelSlots": 100,
        },
        "models": {slot["id"]: slot},
        "pickles": {},
        "triggers": {},
        "logs": {},
        "files": {},
    }
