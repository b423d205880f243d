"""Tools about the account: the key, the model slots, a slot's webhook."""

from __future__ import annotations

from typing import Annotated

from mcp.server.elicitation import ElicitationResult
from mcp.server.mcpserver.resolve import Elicit, Resolve
from pydantic import BaseModel, Field

from server.confirm import Consent
from server.settings import KEY_PAGE
from server.tools.registration import Confirm, Ctx, Result, asking, state, tool

Slot = Annotated[str, Field(description="A model slot's name or id.")]
Limit = Annotated[int, Field(ge=1, le=100)]
Cursor = Annotated[str | None, Field(description="next_cursor of the call before.")]


class CheckApiCredentialsResult(Result):
    username: str | None
    key_name: str | None
    scopes: list[str]
    missing_scopes: list[str]
    key_page: str
    source: str


class SlotEntry(BaseModel):
    """One model slot."""

    id: str
    name: str
    assigned_pickle_id: str | None
    assigned_pickle: str | None
    validation_status: str | None
    trigger_status: str | None
    webhook: bool


class ListModelsResult(Result):
    models: list[SlotEntry]
    total: int
    next_cursor: str | None


class CreateModelResult(Result):
    model_id: str
    name: str
    tournament: int


class ClearSubmissionWebhookResult(Result):
    model_id: str
    model: str
    previous_webhook_host: str | None
    cleared: bool


@tool("Check the API key", outside=True)
async def check_api_credentials(ctx: Ctx) -> CheckApiCredentialsResult:
    """Check the API key that the server was started with: whose it is, its scopes, what is missing and where to get
    it. The key itself is never shown and never an argument."""
    from server.numerai.client import open_numerai
    from server.numerai.types import UPLOAD_SCOPE

    settings = state(ctx).settings
    credentials = settings.require_credentials()
    async with open_numerai(settings) as numerai:
        info = await numerai.token_info()
    missing = [scope for scope in (UPLOAD_SCOPE,) if scope not in info.scopes]
    told = (
        f"It lacks the scope {missing[0]}: make a key with it at {KEY_PAGE}." if missing else "It can upload pickles."
    )
    return CheckApiCredentialsResult(
        summary=f"The key from {credentials.source} belongs to {info.account_username}. {told}",
        username=info.account_username,
        key_name=info.name,
        scopes=list(info.scopes),
        missing_scopes=missing,
        key_page=KEY_PAGE,
        source=credentials.source,
    )


@tool("List model slots", outside=True)
async def list_models(
    ctx: Ctx,
    name_contains: Annotated[str | None, Field(description="Only slots whose name has this part.")] = None,
    limit: Limit = 20,
    cursor: Cursor = None,
) -> ListModelsResult:
    """List the account's model slots in the Classic tournament with the pickle that is assigned to each. A slot with a
    webhook refuses uploads until clear_submission_webhook."""
    from server.numerai.client import open_numerai
    from server.numerai.types import CLASSIC
    from server.tools.paging import page

    async with open_numerai(state(ctx).settings) as numerai:
        account = await numerai.account()
    slots = [s for s in account.models if s.tournament in (CLASSIC, None) and not s.archived]
    wanted = [s for s in slots if name_contains is None or name_contains.lower() in s.name.lower()]
    shown, next_cursor = page(wanted, limit, cursor)
    entries = [
        SlotEntry(
            id=slot.id,
            name=slot.name,
            assigned_pickle_id=slot.assigned.id if slot.assigned else None,
            assigned_pickle=slot.assigned.filename if slot.assigned else None,
            validation_status=slot.assigned.validation_status if slot.assigned else None,
            trigger_status=slot.assigned.trigger_status if slot.assigned else None,
            webhook=slot.webhook_host is not None,
        )
        for slot in shown
    ]
    more = f" {len(wanted) - len(shown)} more: pass next_cursor." if next_cursor else ""
    return ListModelsResult(
        summary=f"{len(entries)} of {len(wanted)} matching model slots.{more}",
        models=entries,
        total=len(wanted),
        next_cursor=next_cursor,
    )


@asking
async def plan_create_model(ctx: Ctx, name: str) -> str:
    """The facts of making a slot, once the name is known to be free."""
    from server.numerai.account import check_name, require_scope
    from server.numerai.client import open_numerai

    settings = state(ctx).settings
    settings.require_credentials()
    check_name(name)
    async with open_numerai(settings) as numerai:
        await require_scope(numerai, "upload_submission")
        account = await numerai.account()
    slots = (
        f"{len(account.models)} slots of at most {account.max_model_slots}" if account.max_model_slots else "its slots"
    )
    return f"Create the model slot {name!r} in the Classic tournament for {account.username}, which has {slots} now."


@asking
async def ask_create_model(
    ctx: Ctx, facts: Annotated[str, Resolve(plan_create_model)], confirm: str | None
) -> Elicit[Consent] | Consent:
    """Asks the user for the slot."""
    return state(ctx).confirmations.question(facts, confirm, ctx.client_capabilities)


@tool("Create a model slot", changes_account=True, repeatable=False, outside=True)
async def create_model(
    ctx: Ctx,
    name: Annotated[str, Field(description="At most 20 characters: letters, digits and _, e.g. my_forest.")],
    facts: Annotated[str, Resolve(plan_create_model)],
    consent: Annotated[ElicitationResult[Consent], Resolve(ask_create_model)],
    confirm: Confirm = None,
) -> CreateModelResult:
    """Create a model slot in the Classic tournament. Asks the user first. Next: upload_pickle with this slot."""
    from server.numerai.changes import create_slot
    from server.numerai.client import open_numerai
    from server.numerai.types import CLASSIC

    state(ctx).confirmations.settle(facts, consent)
    async with open_numerai(state(ctx).settings) as numerai:
        slot = await create_slot(numerai, name)
    return CreateModelResult(
        summary=f"The model slot {slot.name} exists now. Next: upload_pickle with model={slot.name!r}.",
        model_id=slot.id,
        name=slot.name,
        tournament=slot.tournament or CLASSIC,
    )


@asking
async def plan_clear_webhook(ctx: Ctx, model: str) -> str:
    """The facts of clearing a slot's webhook; only the webhook's host is told."""
    from server.numerai.account import find_slot
    from server.numerai.client import open_numerai

    async with open_numerai(state(ctx).settings) as numerai:
        slot = find_slot(await numerai.account(), model)
    return (
        f"Clear the submission webhook of the slot {slot.name} ({slot.id}); its host is {slot.webhook_host or 'none'}."
    )


@asking
async def ask_clear_webhook(
    ctx: Ctx, facts: Annotated[str, Resolve(plan_clear_webhook)], confirm: str | None
) -> Elicit[Consent] | Consent:
    """Asks the user for clearing the webhook."""
    return state(ctx).confirmations.question(facts, confirm, ctx.client_capabilities)


@tool("Clear a slot's webhook", changes_account=True, destroys=True, outside=True)
async def clear_submission_webhook(
    ctx: Ctx,
    model: Slot,
    facts: Annotated[str, Resolve(plan_clear_webhook)],
    consent: Annotated[ElicitationResult[Consent], Resolve(ask_clear_webhook)],
    confirm: Confirm = None,
) -> ClearSubmissionWebhookResult:
    """Clear the submission webhook of a slot, which otherwise refuses pickle uploads. Asks the user first: whatever
    the webhook triggered will not run any more."""
    from server.numerai.account import find_slot
    from server.numerai.changes import clear_webhook
    from server.numerai.client import open_numerai

    state(ctx).confirmations.settle(facts, consent)
    async with open_numerai(state(ctx).settings) as numerai:
        before = find_slot(await numerai.account(), model)
        after = await clear_webhook(numerai, before.id)
    return ClearSubmissionWebhookResult(
        summary=f"The slot {after.name} has no submission webhook now; it takes pickle uploads.",
        model_id=after.id,
        model=after.name,
        previous_webhook_host=before.webhook_host,
        cleared=after.webhook_host is None,
    )
