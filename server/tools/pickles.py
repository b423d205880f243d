"""Tools about registered pickles: what there is, and what a slot runs."""

from __future__ import annotations

from typing import Annotated

from mcp.server.elicitation import ElicitationResult
from mcp.server.mcpserver.resolve import Elicit, Resolve
from pydantic import BaseModel, Field

from server.confirm import Consent
from server.tools.account import Cursor, Limit, Slot
from server.tools.registration import Confirm, Ctx, Result, asking, state, tool
from server.uploads.plans import AssignPlan


class AssignPickleResult(Result):
    model: str
    model_id: str
    pickle_id: str | None
    previous_pickle_id: str | None


class PickleEntry(BaseModel):
    """One registered pickle."""

    pickle_id: str
    filename: str | None
    label: str | None
    uploaded_for: str | None
    validation_status: str | None
    trigger_status: str | None
    docker_image: str | None
    data_version: str | None
    assigned_to: list[str]
    uploaded: str | None


class ListPicklesResult(Result):
    pickles: list[PickleEntry]
    total: int
    next_cursor: str | None


@tool("List pickles", outside=True)
async def list_pickles(
    ctx: Ctx,
    model: Annotated[str | None, Field(description="Only those uploaded for or assigned to this slot.")] = None,
    status: Annotated[str | None, Field(description="Only this validation status, e.g. validated.")] = None,
    limit: Limit = 20,
    cursor: Cursor = None,
) -> ListPicklesResult:
    """List the account's registered pickles, newest first, with statuses, image, data version and where each is
    assigned."""
    from server.numerai.account import find_slot
    from server.numerai.client import open_numerai
    from server.tools.paging import page

    async with open_numerai(state(ctx).settings) as numerai:
        account = await numerai.account()
        pickles = await numerai.pickles()
    names = {slot.id: slot.name for slot in account.models}
    assigned: dict[str, list[str]] = {}
    for slot in account.models:
        if slot.assigned is not None:
            assigned.setdefault(slot.assigned.id, []).append(slot.name)
    if model is not None:
        wanted = find_slot(account, model)
        pickles = [p for p in pickles if p.model_id == wanted.id or wanted.name in assigned.get(p.id, [])]
    pickles = [p for p in pickles if status is None or p.validation_status == status]
    pickles.sort(key=lambda p: p.inserted_at.timestamp() if p.inserted_at else 0.0, reverse=True)
    shown, next_cursor = page(pickles, limit, cursor)
    entries = [
        PickleEntry(
            pickle_id=p.id,
            filename=p.filename,
            label=p.label,
            uploaded_for=names.get(p.model_id or "", p.model_id),
            validation_status=p.validation_status,
            trigger_status=p.trigger_status,
            docker_image=p.docker_image_name or p.docker_image,
            data_version=p.data_version,
            assigned_to=assigned.get(p.id, []),
            uploaded=p.inserted_at.isoformat() if p.inserted_at else None,
        )
        for p in shown
    ]
    return ListPicklesResult(
        summary=f"{len(entries)} of {len(pickles)} matching pickles, newest first.",
        pickles=entries,
        total=len(pickles),
        next_cursor=next_cursor,
    )


@asking
async def plan_assign(ctx: Ctx, model: str, pickle_id: str | None) -> AssignPlan:
    """What the slot runs now and will run."""
    from server.uploads.plans import plan_assign as plan

    return await plan(state(ctx).settings, model, pickle_id)


@asking
async def ask_assign(
    ctx: Ctx, plan: Annotated[AssignPlan, Resolve(plan_assign)], confirm: str | None
) -> Elicit[Consent] | Consent:
    """Asks the user for the assignment."""
    return state(ctx).confirmations.question(plan.facts, confirm, ctx.client_capabilities)


@tool("Assign a pickle to a slot", changes_account=True, destroys=True, outside=True)
async def assign_pickle(
    ctx: Ctx,
    model: Slot,
    pickle_id: Annotated[str | None, Field(description="A validated pickle's id; null turns the slot's pickle off.")],
    plan: Annotated[AssignPlan, Resolve(plan_assign)],
    consent: Annotated[ElicitationResult[Consent], Resolve(ask_assign)],
    confirm: Confirm = None,
) -> AssignPickleResult:
    """Make a pickle the one that Numerai runs for a slot each round. Asks the user first. The slot takes no CSV
    submissions any more until pickle_id=null. Read back from the account."""
    from server.numerai.changes import assign
    from server.numerai.client import open_numerai

    state(ctx).confirmations.settle(plan.facts, consent)
    async with open_numerai(state(ctx).settings) as numerai:
        done = await assign(numerai, plan.slot.id, plan.pickle_id)
    now = done.slot.assigned.id if done.slot.assigned else None
    runs = f"runs the pickle {now}" if now else "runs no pickle"
    return AssignPickleResult(
        summary=f"The slot {done.slot.name} {runs} now; before: {done.previous_pickle_id or 'none'}.",
        model=done.slot.name,
        model_id=done.slot.id,
        pickle_id=now,
        previous_pickle_id=done.previous_pickle_id,
    )
