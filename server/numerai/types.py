"""What Numerai's API gives, as frozen models. Names follow the schema; statuses are free strings there and here."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, field_validator
from pydantic.alias_generators import to_camel

CLASSIC = 8
"""The only tournament that takes pickles."""

UPLOAD_SCOPE = "upload_submission"
"""The scope that uploading, registering and assigning need."""

TEXT_LIMIT = 300

RoundStatus = Literal["OPEN", "RESOLVED", "RESOLVING", "UPCOMING"]


def _without_nulls(value: Sequence[Any] | None) -> list[Any]:
    # The schema's lists and their items are nullable.
    return [item for item in value or () if item is not None]


def _host(webhook: str | None) -> str | None:
    # A webhook's path and query hold the user's secrets; only its host is ever shown.
    return (urlsplit(webhook).hostname or "an unreadable address") if webhook else None


class Exact(BaseModel):
    """A reply whose texts are needed to the letter."""

    model_config = ConfigDict(frozen=True, alias_generator=to_camel, populate_by_name=True)


class Reply(Exact):
    """A reply whose texts (names, labels, statuses) others wrote: one bounded line each, that can't pose as an
    instruction wherever it is shown."""

    @field_validator("*")
    @classmethod
    def _quote(cls, value: Any) -> Any:
        # Start-up imports this module and needs no diagnosis.
        from server.diagnosis import quote_foreign

        return quote_foreign(value, TEXT_LIMIT) if isinstance(value, str) else value


class TokenInfo(Reply):
    """The API key that the requests are made with."""

    account_username: str | None = None
    name: str | None = None
    scopes: Annotated[tuple[str, ...], BeforeValidator(_without_nulls)] = ()


class DataVersion(Reply):
    """A version of the live data that a pickle is run on."""

    id: str
    name: str | None = None
    version: str | None = None
    type: str | None = None
    default: bool | None = False
    deprecated: bool | None = False
    experimental: bool | None = False


class TriggerStatus(Reply):
    """One step of an execution. `description` is Numerai's own explanation of a failure."""

    status: str | None = None
    description: str | None = None
    inserted_at: datetime | None = None


class Trigger(Reply):
    """One execution of a pickle."""

    id: str
    type: str | None = None
    status: str | None = None
    round_id: str | None = None
    submission_id: str | None = None
    statuses: Annotated[tuple[TriggerStatus, ...], BeforeValidator(_without_nulls)] = ()
    inserted_at: datetime | None = None


class Pickle(Reply):
    """A registered compute pickle."""

    id: str
    filename: str | None = None
    label: str | None = None
    model_id: str | None = None
    """The slot that it was uploaded for, not where it is assigned."""
    assigned_model_slots: Annotated[tuple[str, ...], BeforeValidator(_without_nulls)] = ()
    data_version: str | None = None
    data_version_id: str | None = None
    docker_image: str | None = None
    docker_image_id: str | None = None
    docker_image_name: str | None = None
    validation_status: str | None = None
    trigger_status: str | None = None
    diagnostics_id: str | None = None
    diagnostics_status: str | None = None
    diagnostics_status_description: str | None = None
    triggers: Annotated[tuple[Trigger, ...], BeforeValidator(_without_nulls)] = ()
    inserted_at: datetime | None = None
    updated_at: datetime | None = None


class ModelSlot(Reply):
    """A named place in an account that runs one pickle each round."""

    id: str
    name: str
    username: str | None = None
    tournament: int | None = None
    archived: bool | None = False
    compute_enabled: bool | None = None
    webhook_host: Annotated[str | None, BeforeValidator(_host)] = Field(default=None, alias="submissionWebhook")
    """Host of the slot's submission webhook; None where it has none. With one, the slot refuses uploads."""
    assigned: Pickle | None = Field(default=None, alias="computePickleUpload")


class Account(Reply):
    """The authenticated account with its slots."""

    id: str | None = None
    username: str | None = None
    max_model_slots: int | None = None
    models: Annotated[tuple[ModelSlot, ...], BeforeValidator(_without_nulls)] = ()


class UploadAuth(Exact):
    """Leave to PUT one file. `filename` is Numerai's name for it: the one to register."""

    filename: str
    url: SecretStr


class LogLine(Exact):
    """One line of a run's log; `timestamp` in milliseconds since the epoch."""

    timestamp: int | None = None
    message: str | None = None


class Diagnostics(Reply):
    """Scores of a pickle on the validation eras; null until the diagnostics succeeded."""

    id: str | None = None
    compute_pickle_upload_id: str | None = None
    status: str | None = None
    message: str | None = None
    eras_accepted_count: int | None = None
    trained_on_val: bool | None = None
    validation_corr_mean: float | None = None
    validation_corr_sharpe: float | None = None
    validation_corr_std: float | None = None
    validation_corr_max_drawdown: float | None = None
    validation_bmc_mean: float | None = None
    validation_adjusted_sharpe: float | None = None
    updated_at: datetime | None = None


class Round(Reply):
    """One round of a tournament."""

    id: str | None = None
    number: int | None = None
    tournament: int | None = None
    target: str | None = None
    is_daily: bool | None = None
    open_time: datetime | None = None
    close_time: datetime | None = None
    close_staking_time: datetime | None = None
    score_time: datetime | None = None
    resolve_time: datetime | None = None


class Tournament(Reply):
    """A tournament; number 8 is Classic."""

    id: str | None = None
    name: str | None = None
    tournament: int | None = None
    active: bool | None = None


class PipelineStatus(Reply):
    """How far Numerai's daily work is."""

    data_ready_at: datetime | None = None
    started_at: datetime | None = None
    scored_at: datetime | None = None
    resolved_at: datetime | None = None
    is_scoring_day: bool | None = None
