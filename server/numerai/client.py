"""The one interface to Numerai: typed calls over either transport."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Literal, Protocol, TypeVar

from pydantic import TypeAdapter, ValidationError

from server.errors import NumeraiRefused, NumeraiUnreachable, OutcomeUnknown
from server.numerai.operations import Operation, operation
from server.numerai.pace import Pace
from server.numerai.types import (
    CLASSIC,
    Account,
    DataVersion,
    Diagnostics,
    LogLine,
    ModelSlot,
    Pickle,
    PipelineStatus,
    Reply,
    Round,
    RoundStatus,
    TokenInfo,
    Tournament,
    UploadAuth,
)
from server.runners.types import DockerImage
from server.settings import Settings

T = TypeVar("T")


class Transport(Protocol):
    """Carries one operation to Numerai and gives the value of its root field."""

    name: str

    async def call(self, operation: Operation, variables: Mapping[str, Any]) -> Any: ...


class _ImageReply(Reply):
    id: str
    name: str | None = None
    image: str
    tag: str
    default: bool | None = False
    deprecated: bool | None = False
    experimental: bool | None = False
    insertedAt: str | None = None


class Numerai:
    """Numerai's API, the part that model uploads use.

    Every method raises CredentialsMissing (no key, a bad one, a missing scope), NumeraiRefused (Numerai said no),
    NumeraiUnreachable (no usable answer after retries) or, for the methods that change the account,
    OutcomeUnknown (sent, and the answer lost). Those methods do not look back; `changes` and `upload` do.
    """

    def __init__(self, transport: Transport, pace: Pace) -> None:
        self._transport = transport
        self.pace = pace

    @property
    def transport(self) -> str:
        """`graphql` or `mcp`."""
        return self._transport.name

    async def token_info(self) -> TokenInfo:
        """The API key's account and scopes."""
        return await self._one("apiTokenInfo", TokenInfo)

    async def account(self) -> Account:
        """The account with its model slots and what is assigned to each."""
        return await self._one("account", Account)

    async def docker_images(self, *, deprecated: bool = False) -> list[DockerImage]:
        """The images that pickles run in, the default first, then the newest. Needs no key."""
        replies = await self._list("computePickleDockerImages", _ImageReply, deprecated=deprecated)
        replies.sort(key=lambda reply: (bool(reply.default), reply.insertedAt or ""), reverse=True)
        return [
            DockerImage(
                id=reply.id,
                name=reply.name or reply.image,
                image=reply.image,
                tag=reply.tag,
                default=bool(reply.default),
                deprecated=bool(reply.deprecated),
                experimental=bool(reply.experimental),
            )
            for reply in replies
        ]

    async def data_versions(self, *, deprecated: bool = False) -> list[DataVersion]:
        """The data versions that a pickle can be run on. Needs no key."""
        return await self._list("computePickleDataVersions", DataVersion, deprecated=deprecated)

    async def model_name_available(self, name: str) -> bool:
        """Whether a Classic slot of that name can be made. Needs no key."""
        return bool(await self._call("modelNameAvailable", name=name, tournament=CLASSIC))

    async def add_model(self, name: str) -> ModelSlot:
        """Make a Classic slot."""
        return await self._one("addModel", ModelSlot, name=name, tournament=CLASSIC)

    async def upload_auth(self, filename: str, model_id: str) -> UploadAuth:
        """Leave to PUT one file for the slot; it expires within minutes."""
        return await self._one("computePickleUploadAuth", UploadAuth, filename=filename, modelId=model_id)

    async def register_pickle(
        self, *, filename: str, model_id: str, docker_image_id: str, data_version_id: str
    ) -> Pickle:
        """Register the uploaded file; validation starts. `filename` is the one that the auth returned."""
        return await self._one(
            "createComputePickleUpload",
            Pickle,
            filename=filename,
            tournament=CLASSIC,
            modelId=model_id,
            dataVersionId=data_version_id,
            dockerImageId=docker_image_id,
        )

    async def pickles(
        self, *, pickle_id: str | None = None, model_id: str | None = None, unassigned: bool = False
    ) -> list[Pickle]:
        """The account's pickles with their triggers. `model_id` is the slot that a pickle was uploaded for."""
        return await self._list("computePickles", Pickle, id=pickle_id, modelId=model_id, unassigned=unassigned)

    async def assign(self, model_id: str, pickle_id: str | None) -> None:
        """Make a pickle the one that runs for the slot; None disables the slot's upload."""
        await self._call("assignPickleToModel", modelId=model_id, pickleId=pickle_id)

    async def trigger(self, pickle_id: str, *, model_id: str | None = None, validation: bool = True) -> Pickle:
        """Run a pickle now: to validate it, or (`validation=False`) to submit."""
        return await self._one(
            "triggerComputePickleUpload", Pickle, modelId=model_id, pickleId=pickle_id, triggerValidation=validation
        )

    async def trigger_logs(self, trigger_id: str) -> list[LogLine]:
        """The log of one execution, oldest line first."""
        return await self._list("triggerLogs", LogLine, triggerId=trigger_id)

    async def diagnostics_logs(self, pickle_id: str) -> list[LogLine]:
        """The log of a pickle's diagnostics run."""
        return await self._list("diagnosticsTriggerLogs", LogLine, pickleId=pickle_id)

    async def diagnostics(self, *, diagnostics_id: str | None = None, model_id: str | None = None) -> list[Diagnostics]:
        """Scores on the validation eras."""
        return await self._list("diagnostics", Diagnostics, id=diagnostics_id, modelId=model_id)

    async def update_label(self, pickle_id: str, label: str | None) -> None:
        """Set a pickle's label."""
        await self._call("updatePickleLabel", pickleId=pickle_id, label=label)

    async def set_submission_webhook(self, model_id: str, webhook: str | None) -> None:
        """Set or (None) clear the slot's submission webhook."""
        await self._call("setSubmissionWebhook", modelId=model_id, newSubmissionWebhook=webhook)

    async def tournaments(self) -> list[Tournament]:
        """All tournaments. Needs no key."""
        return await self._list("tournaments", Tournament)

    async def rounds(
        self, *, limit: int | None = None, number: int | None = None, status: RoundStatus | None = None,
        tournament: int = CLASSIC,
    ) -> list[Round]:  # fmt: skip
        """Rounds, newest first. Needs no key."""
        return await self._list("rounds", Round, limit=limit, number=number, status=status, tournament=tournament)

    async def list_datasets(self, *, round_number: int | None = None) -> list[str]:
        """File names such as `v5.2/live.parquet`. Needs no key."""
        names = await self._call("listDatasets", round=round_number, tournament=CLASSIC)
        return [name for name in _checked(TypeAdapter(list[str | None]), names or [], "listDatasets") if name]

    async def dataset_url(self, filename: str, *, round_number: int | None = None) -> str:
        """A presigned download URL: keep it out of results and logs. Needs no key."""
        url = await self._call("dataset", filename=filename, round=round_number, tournament=CLASSIC)
        if not url:
            raise NumeraiRefused(f"Numerai has no dataset file {filename}.", next_step="Look at the topic datasets.")
        return _checked(TypeAdapter(str), url, "dataset")

    async def pipeline_status(
        self, *, date: str | None = None, tournament: Literal["classic", "signals", "crypto"] = "classic"
    ) -> PipelineStatus | None:
        """How far Numerai's work of a day (ISO date, None: today) is. Needs no key."""
        reply = await self._call("pipelineStatus", date=date, tournament=tournament)
        return None if reply is None else _checked(TypeAdapter(PipelineStatus), reply, "pipelineStatus")

    async def _call(self, field: str, **variables: Any) -> Any:
        return await self._transport.call(operation(field), variables)

    async def _one(self, field: str, model: type[T], **variables: Any) -> T:
        reply = await self._call(field, **variables)
        if reply is None:
            raise NumeraiRefused(
                f"Numerai has nothing to give for {field}.", next_step="Check the ids that were given."
            )
        return _checked(TypeAdapter(model), reply, field)

    async def _list(self, field: str, model: type[T], **variables: Any) -> list[T]:
        replies = _checked(TypeAdapter(list[Any]), await self._call(field, **variables) or [], field)
        return [_checked(TypeAdapter(model), reply, field) for reply in replies if reply is not None]


def _checked(adapter: TypeAdapter[T], reply: Any, field: str) -> T:
    try:
        return adapter.validate_python(reply)
    except ValidationError as error:
        # The answer itself may hold a signed URL: only the places and kinds of the errors are told.
        places = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['type']}" for e in error.errors()[:3])
        kind = OutcomeUnknown if operation(field).changes else NumeraiUnreachable
        raise kind(f"Numerai's answer to {field} does not fit its schema.", evidence=places) from None


@asynccontextmanager
async def open_numerai(settings: Settings, pace: Pace | None = None) -> AsyncGenerator[Numerai]:
    """Numerai over the configured transport, closed at the end."""
    pace = pace or Pace()
    if settings.transport == "mcp":
        from server.numerai.mcp_transport import open_mcp

        async with open_mcp(settings, pace) as transport:
            yield Numerai(transport, pace)
    else:
        from server.numerai.graphql import open_graphql

        async with open_graphql(settings, pace) as transport:
            yield Numerai(transport, pace)
