"""What can be known before anything is sent: scopes, names, slots, images, data versions."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence

from server.diagnosis import quote_foreign
from server.errors import CredentialsMissing, InputError, NumeraiRefused
from server.numerai.client import Numerai
from server.numerai.types import CLASSIC, Account, DataVersion, ModelSlot, TokenInfo
from server.runners.types import DockerImage
from server.settings import KEY_PAGE

NAME = re.compile(r"[a-z0-9_]{1,20}")
"""Numerai: names are username-safe and at most 20 characters."""


async def require_scope(numerai: Numerai, scope: str) -> TokenInfo:
    """The key's info, once it is known to have the scope.

    Raises:
        CredentialsMissing: it has not.
    """
    info = await numerai.token_info()
    # An answer that tells neither account nor scopes is of a form not known here: then Numerai itself decides.
    untold = info.account_username is None and not info.scopes
    if scope not in info.scopes and not untold:
        raise CredentialsMissing(
            f"The API key lacks the scope {scope}.",
            evidence=f"It has: {', '.join(info.scopes) or 'none'}.",
            next_step=f"Make a key with {scope} at {KEY_PAGE}, set NUMERAI_MCP_AUTH to it and restart the server.",
        )
    return info


def find_slot(account: Account, wanted: str) -> ModelSlot:
    """The Classic slot with exactly this id or name.

    Raises:
        InputError: there is none, or it is archived or of another tournament.
    """
    slots = [slot for slot in account.models if wanted in (slot.id, slot.name)]
    if not slots:
        names = [slot.name for slot in account.models]
        near = difflib.get_close_matches(wanted, names, n=5, cutoff=0.4) or names[:5]
        raise InputError(
            f"The account has no model slot {quote_foreign(wanted, 60)!r}.",
            evidence=f"Nearest of its {len(names)} slots: {', '.join(near) or 'none'}.",
            next_step="Give an exact name or id from list_models, or make the slot with create_model.",
        )
    usable = [slot for slot in slots if slot.tournament in (CLASSIC, None) and not slot.archived]
    if len(usable) != 1:
        raise InputError(
            f"The slot {quote_foreign(wanted, 60)!r} takes no pickles.",
            evidence="It is archived." if slots[0].archived else f"It plays tournament {slots[0].tournament}.",
            next_step="Choose a slot of the Classic tournament (8): only that one runs pickles.",
        )
    return usable[0]


def check_upload_slot(slot: ModelSlot) -> None:
    """Refuse a slot that Numerai would refuse after the bytes have moved.

    Raises:
        NumeraiRefused: it has a submission webhook.
    """
    if slot.webhook_host:
        raise NumeraiRefused(
            f"The slot {slot.name} has a submission webhook, so Numerai takes no pickle for it.",
            evidence=f"The webhook's host is {slot.webhook_host}.",
            next_step="Call clear_submission_webhook for the slot if it is no longer used, then upload again.",
        )


def check_name(name: str) -> None:
    """Refuse a slot name that Numerai would refuse.

    Raises:
        InputError: it is too long or not username-safe.
    """
    if not NAME.fullmatch(name):
        raise InputError(
            f"{name!r} cannot be a model's name.",
            evidence="Names have 1 to 20 lower-case letters, digits and underscores.",
            next_step="Choose another name.",
        )


def choose_image(
    images: Sequence[DockerImage], wanted: str | None = None, *, python_version: str | None = None
) -> DockerImage:
    """The image with this id, name or reference. None: the default if its Python is `python_version` ("3.12"; None:
    any), else the newest image that has it. `images` come as `docker_images` gives them, newest first.

    Raises:
        InputError: there is none; the message lists what there is.
    """
    if wanted is not None:
        found = [image for image in images if wanted in (image.id, image.name, image.reference)]
        if found:
            return found[0]
        raise _no_such("docker image", wanted, (f"{image.name} ({image.reference})" for image in images))
    fitting = [image for image in images if python_version in (None, image.python_version)]
    if not fitting:
        have = sorted({image.python_version or "?" for image in images})
        raise InputError(
            f"No docker image has Python {python_version}.",
            evidence=f"The images have {', '.join(have)}.",
            next_step="Build the pickle with make_venv and build_pickle, which take the image's Python.",
        )
    return min(fitting, key=lambda image: (not image.default, image.deprecated, image.experimental))


def choose_data_version(versions: Sequence[DataVersion], wanted: str | None = None) -> DataVersion:
    """The data version with this id, name or version; None: the default.

    Raises:
        InputError: there is none; the message lists what there is.
    """
    for version in versions:
        if wanted in (version.id, version.name, version.version) or (wanted is None and version.default):
            return version
    raise _no_such("data version", wanted or "default", (version.name or version.id for version in versions))


def _no_such(kind: str, wanted: str, known: Iterable[str]) -> InputError:
    return InputError(
        f"Numerai has no {kind} {quote_foreign(wanted, 60)!r}.",
        evidence=f"It has: {'; '.join(known)}.",
        next_step="Give one of these by id or name.",
    )
