"""The answers of the embedded Numerai: one method a root field, its arguments by their GraphQL names.

The texts are those seen from the real server where one was seen.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from graphql import GraphQLError, GraphQLResolveInfo

from server.local_numerai.rounds import rounds_of_today
from server.local_numerai.store import Record, Store, load_world, new_id, now

if TYPE_CHECKING:
    Info = GraphQLResolveInfo[Any]

CLASSIC = 8
NOT_AUTHENTICATED = "Your session is invalid or has expired."
WEBHOOK_SET = "The submission webhook must be disabled before uploading a pickle."
NAME = re.compile(r"[a-z0-9_]{1,20}")


@dataclass(frozen=True)
class Caller:
    """Who asks: `known` says that the request bore the account's key."""

    known: bool


class Refusal(GraphQLError):
    """Numerai's no."""


class Api:
    """Root value of every execution; `info.context` is the Caller."""

    def __init__(
        self,
        store: Store,
        *,
        put_url: Callable[[str], str],
        get_url: Callable[[str], str],
        start: Callable[[Record], None],
        round_open: Callable[[], bool],
    ) -> None:
        """`put_url`, `get_url`: signed addresses of a file name; `start`: runs a queued trigger, without waiting."""
        self._store = store
        self._put_url = put_url
        self._get_url = get_url
        self._start = start
        self._round_open = round_open
        self._world = load_world()

    # Public.

    def apiTokenScopes(self, info: Info) -> list[Record]:
        return self._world["scopes"]

    def modelNameAvailable(self, info: Info, name: str, tournament: int) -> bool:
        return not any(slot["name"] == name for slot in self._store.models.values())

    def tournaments(self, info: Info) -> list[Record]:
        return self._world["tournaments"]

    def rounds(
        self,
        info: Info,
        limit: int | None = None,
        number: int | None = None,
        status: str | None = None,
        target: str | None = None,
        tournament: int | None = None,
    ) -> list[Record]:
        found = rounds_of_today(limit or 10, number, is_open=self._round_open())
        return [each for each in found if status in (None, each["status"])]

    def listDatasets(self, info: Info, round: int | None = None, tournament: int | None = None) -> list[str]:
        return sorted(self._world["datasets"])

    def dataset(self, info: Info, filename: str, round: int | None = None, tournament: int | None = None) -> str:
        if filename not in self._world["datasets"]:
            raise Refusal("dataset not found")
        return self._get_url(filename)

    def computePickleDockerImages(self, info: Info, deprecated: bool | None = False) -> list[Record]:
        return [image for image in self._world["docker_images"] if deprecated or not image["deprecated"]]

    def computePickleDataVersions(self, info: Info, deprecated: bool = False) -> list[Record]:
        return [version for version in self._world["data_versions"] if deprecated or not version["deprecated"]]

    def pipelineStatus(self, info: Info, date: str | None = None, tournament: str | None = "classic") -> Record:
        return {"isScoringDay": True, "dataReadyAt": now(), "startedAt": now()}

    # With a key.

    def apiTokenInfo(self, info: Info) -> Record:
        self._authorize(info)
        return {
            "accountUsername": self._store.account["username"],
            "name": "local key",
            "publicId": self._store.token.partition("$")[0],
            "scopes": self._store.scopes,
        }

    def account(self, info: Info) -> Record:
        self._authorize(info)
        return {**self._store.account, "models": [self._model(slot) for slot in self._store.models.values()]}

    def model(self, info: Info, modelId: str | None = None) -> Record:
        self._authorize(info)
        return self._model(self._slot(modelId))

    def addModel(self, info: Info, name: str, tournament: int) -> Record:
        self._authorize(info, "upload_submission")
        if tournament not in {each["tournament"] for each in self._world["tournaments"]}:
            raise Refusal("invalid tournament")
        if not NAME.fullmatch(name):
            raise Refusal("name must be lower-case letters, digits and underscores, and at most 20 characters")
        if any(slot["name"] == name for slot in self._store.models.values()):
            raise Refusal("name has already been taken")
        if len(self._store.models) >= self._store.account["maxModelSlots"]:
            raise Refusal("maximum number of models reached")
        return self._model(self._store.add_model(name))

    def computePickleUploadAuth(
        self, info: Info, filename: str | None = "model.pkl", modelId: str | None = None
    ) -> Record:
        self._authorize(info, "upload_submission")
        if modelId is not None:
            self._slot(modelId)
        stem, _, suffix = (filename or "model.pkl").rpartition(".")
        if suffix not in ("pkl", "pickle") or "/" in stem or not stem:
            raise Refusal("filename must end in .pkl")
        name = f"{stem}-{new_id()}.{suffix}"
        self._store.files[name] = {"modelId": modelId, "size": None, "sha256": None}
        self._store.save()
        return {"filename": name, "url": self._put_url(name), "accelerated": False, "countryCode": "US"}

    def computePickleDownloadAuth(self, info: Info, modelId: str, pickleId: str | None = None) -> Record:
        self._authorize(info, "download_submission")
        pickle = self._pickle(pickleId or self._slot(modelId)["assigned"])
        return {"filename": pickle["filename"], "url": self._get_url(f"pickles/{pickle['filename']}")}

    def createComputePickleUpload(
        self,
        info: Info,
        filename: str,
        tournament: int,
        modelId: str | None = None,
        dataVersionId: str | None = None,
        dockerImageId: str | None = None,
        source: str | None = None,
    ) -> Record:
        self._authorize(info, "upload_submission")
        if tournament != CLASSIC:
            raise Refusal("model uploads are not supported for this tournament")
        if modelId is not None and self._slot(modelId)["submissionWebhook"]:
            raise Refusal(WEBHOOK_SET)
        if filename not in self._store.files:
            raise Refusal("filename not found")
        image = _chosen(self._world["docker_images"], dockerImageId, "docker image")
        version = _chosen(self._world["data_versions"], dataVersionId, "data version")
        pickle: Record = {
            "id": new_id(),
            "filename": filename,
            "label": None,
            "version": 1 + sum(each["modelId"] == modelId for each in self._store.pickles.values()),
            "runtime": None,
            "modelId": modelId,
            "dataVersion": version["name"],
            "dataVersionId": version["id"],
            "dockerImage": f"{image['image']}:{image['tag']}",
            "dockerImageId": image["id"],
            "dockerImageName": image["name"],
            "validationStatus": "pending",
            "triggerStatus": None,
            "diagnosticsId": None,
            "diagnosticsStatus": None,
            "diagnosticsStatusDescription": None,
            "insertedAt": now(),
            "updatedAt": now(),
        }
        self._store.pickles[pickle["id"]] = pickle
        self._start(self._store.add_trigger(pickle["id"], "validation"))
        return self._upload(pickle)

    def computePickles(
        self,
        info: Info,
        id: str | None = None,
        modelId: str | None = None,
        unassigned: bool = False,
    ) -> list[Record]:
        self._authorize(info)
        uploads = [self._upload(pickle) for pickle in reversed(self._store.pickles.values())]
        return [
            upload
            for upload in uploads
            if id in (None, upload["id"])
            and modelId in (None, upload["modelId"])
            and not (unassigned and upload["assignedModelSlots"])
        ]

    def assignPickleToModel(self, info: Info, modelId: str | None = None, pickleId: str | None = None) -> str:
        self._authorize(info, "upload_submission")
        slot = self._slot(modelId)
        if pickleId is not None:
            self._pickle(pickleId)
            if slot["submissionWebhook"]:
                raise Refusal(WEBHOOK_SET)
        slot["assigned"], slot["computeEnabled"] = pickleId, pickleId is not None
        self._store.save()
        return "true"

    def triggerComputePickleUpload(
        self,
        info: Info,
        modelId: str | None = None,
        pickleId: str | None = None,
        triggerValidation: bool | None = False,
    ) -> Record:
        self._authorize(info, "upload_submission")
        pickle = self._pickle(pickleId or self._slot(modelId)["assigned"])
        kind = "validation" if triggerValidation else "submission"
        self._start(self._store.add_trigger(pickle["id"], kind))
        return self._upload(pickle)

    def updatePickleLabel(self, info: Info, pickleId: str, label: str | None = None) -> Record:
        self._authorize(info, "upload_submission")
        pickle = self._pickle(pickleId)
        pickle["label"] = label
        self._store.save()
        return self._upload(pickle)

    def setSubmissionWebhook(
        self, info: Info, modelId: str | None = None, newSubmissionWebhook: str | None = None
    ) -> str:
        self._authorize(info, "upload_submission")
        slot = self._slot(modelId)
        slot["submissionWebhook"] = newSubmissionWebhook or None
        self._store.save()
        return "ok"

    def triggerLogs(self, info: Info, triggerId: str) -> list[Record]:
        self._authorize(info)
        if triggerId not in self._store.triggers:
            raise Refusal("trigger not found")
        return self._store.logs[triggerId]

    def diagnosticsTriggerLogs(self, info: Info, pickleId: str) -> list[Record]:
        self._authorize(info)
        return [{"timestamp": 0, "message": DIAGNOSTICS}] if self._pickle(pickleId)["diagnosticsId"] else []

    def diagnostics(self, info: Info, id: str | None = None, modelId: str | None = None) -> list[Record]:
        self._authorize(info)
        with_diagnostics = [pickle for pickle in self._store.pickles.values() if pickle["diagnosticsId"]]
        return [
            {
                "id": pickle["diagnosticsId"],
                "computePickleUploadId": pickle["id"],
                "status": pickle["diagnosticsStatus"],
                "message": DIAGNOSTICS,
                "erasAcceptedCount": 0,
            }
            for pickle in with_diagnostics
            if id in (None, pickle["diagnosticsId"]) and modelId in (None, pickle["modelId"])
        ]

    def _authorize(self, info: Info, scope: str | None = None) -> None:
        caller: Caller = info.context
        if not caller.known:
            raise Refusal(NOT_AUTHENTICATED, extensions={"code": "not_authenticated"})
        if scope and scope not in self._store.scopes:
            raise Refusal(f"Your API token lacks the required scope: {scope}", extensions={"code": "not_authorized"})

    def _slot(self, model_id: str | None) -> Record:
        if model_id not in self._store.models:
            raise Refusal("model not found")
        return self._store.models[model_id]

    def _pickle(self, pickle_id: str | None) -> Record:
        if pickle_id not in self._store.pickles:
            raise Refusal("pickle not found")
        return self._store.pickles[pickle_id]

    def _model(self, slot: Record) -> Record:
        assigned = self._store.pickles.get(slot["assigned"])
        return {**slot, "computePickleUpload": self._upload(assigned) if assigned else None}

    def _upload(self, pickle: Record) -> Record:
        slots = [slot["id"] for slot in self._store.models.values() if slot["assigned"] == pickle["id"]]
        return {**pickle, "assignedModelSlots": slots, "triggers": self._store.triggers_of(pickle["id"])}


DIAGNOSTICS = "The embedded Numerai holds no validation eras: there are no scores."


def _chosen(entries: list[Record], wanted: str | None, what: str) -> Record:
    for entry in entries:
        if entry["id"] == wanted or (wanted is None and entry["default"]):
            return entry
    raise Refusal(f"{what} not found")
