"""Tools that bring pickles to Numerai and to their slots."""

from __future__ import annotations

from typing import Annotated, Any

from mcp.server.elicitation import ElicitationResult
from mcp.server.mcpserver.resolve import Elicit, Resolve
from pydantic import Field

from server.confirm import Consent
from server.jobs import Progress
from server.tools.account import Slot
from server.tools.registration import Confirm, Ctx, JobResult, WaitSeconds, as_job, asking, state, tool
from server.uploads.plans import DeployPlan, TriggerPlan, UploadPlan

Image = Annotated[str | None, Field(description="A docker image's id, name or reference; null: the one that fits.")]
Version = Annotated[
    str | None, Field(description="A data version's id, name or version, e.g. v5.2; null: the default.")
]


class UploadPickleResult(JobResult):
    pickle_id: str | None = None
    model: str | None = None
    sha256: str | None = None
    validation_status: str | None = None
    trigger_status: str | None = None
    docker_image: str | None = None
    data_version: str | None = None
    steps: list[str] | None = None
    assigned: bool | None = None
    previous_pickle_id: str | None = None
    diagnosis: list[dict[str, Any]] | None = None


class DeployPicklesResult(JobResult):
    slots: list[dict[str, Any]] | None = None
    rollback_path: str | None = None
    dry_run: bool | None = None


class TriggerPickleResult(JobResult):
    pickle_id: str | None = None
    trigger_id: str | None = None
    trigger_status: str | None = None
    statuses: list[str] | None = None


@asking
async def plan_upload(
    ctx: Ctx,
    pickle_path: str,
    model: str,
    docker_image: str | None,
    data_version: str | None,
    label: str | None,
    assign: bool,
) -> UploadPlan:
    """Everything about the upload that can be settled before bytes move."""
    from server.uploads.plans import plan_upload as plan

    app = state(ctx)
    return await plan(app.settings, app.proofs, pickle_path, model, docker_image, data_version, label, assign)


@asking
async def ask_upload(
    ctx: Ctx, plan: Annotated[UploadPlan, Resolve(plan_upload)], confirm: str | None
) -> Elicit[Consent] | Consent:
    """Asks the user for the upload."""
    return state(ctx).confirmations.question(plan.facts, confirm, ctx.client_capabilities)


@tool("Upload a pickle", changes_account=True, outside=True)
async def upload_pickle(
    ctx: Ctx,
    pickle_path: Annotated[str, Field(description="The pickle, e.g. model.pkl.")],
    model: Slot,
    plan: Annotated[UploadPlan, Resolve(plan_upload)],
    consent: Annotated[ElicitationResult[Consent], Resolve(ask_upload)],
    docker_image: Image = None,
    data_version: Version = None,
    label: Annotated[str | None, Field(description="A note shown beside the pickle.")] = None,
    assign: Annotated[bool, Field(description="Once validated, make it the one that runs each round.")] = False,
    confirm: Confirm = None,
    wait_seconds: WaitSeconds = 45,
) -> UploadPickleResult:
    """Upload a pickle for a slot, register it with its docker image and data version, and watch its validation. Asks
    the user first. Run run_container_debug before. Safe to repeat: the same file, slot and image goes on where it
    stopped. When invalid, the result has the diagnosis."""
    from server.uploads.carry_out import run_upload

    app = state(ctx)
    app.confirmations.settle(plan.facts, consent)

    async def work(progress: Progress) -> UploadPickleResult:
        return UploadPickleResult.model_validate(await run_upload(app.settings, plan, progress))

    return await as_job(ctx, "upload_pickle", UploadPickleResult, {"facts": plan.facts}, work, wait_seconds)


@asking
async def plan_deploy(ctx: Ctx, deployments: list[dict[str, Any]] | str, dry_run: bool) -> DeployPlan:
    """What every slot runs now and will run."""
    from server.uploads.plans import plan_deploy as plan

    app = state(ctx)
    return await plan(app.settings, app.proofs, deployments)


@asking
async def ask_deploy(
    ctx: Ctx, plan: Annotated[DeployPlan, Resolve(plan_deploy)], dry_run: bool, confirm: str | None
) -> Elicit[Consent] | Consent:
    """Asks the user once for all slots; a dry run changes nothing and asks nothing."""
    if dry_run:
        return Consent(proceed=True)
    return state(ctx).confirmations.question(plan.facts, confirm, ctx.client_capabilities)


@tool("Deploy pickles to many slots", changes_account=True, destroys=True, outside=True)
async def deploy_pickles(
    ctx: Ctx,
    deployments: Annotated[
        list[dict[str, Any]] | str,
        Field(description="[{model, pickle_path or pickle_id, docker_image?, data_version?}], or a JSON file of it."),
    ],
    plan: Annotated[DeployPlan, Resolve(plan_deploy)],
    consent: Annotated[ElicitationResult[Consent], Resolve(ask_deploy)],
    dry_run: Annotated[bool, Field(description="Only tell what would happen.")] = False,
    confirm: Confirm = None,
    wait_seconds: WaitSeconds = 45,
) -> DeployPicklesResult:
    """Upload and assign pickles for many slots in one resumable job. Asks the user once. Identical files go up once; a
    slot is assigned only when its pickle has validated. rollback_path is a deployments file that undoes it."""
    from server.uploads.carry_out import run_deploy

    app = state(ctx)
    if not dry_run:
        app.confirmations.settle(plan.facts, consent)

    async def work(progress: Progress) -> DeployPicklesResult:
        return DeployPicklesResult.model_validate(await run_deploy(app.settings, plan, dry_run, progress))

    arguments = {"facts": plan.facts, "dry_run": dry_run}
    return await as_job(ctx, "deploy_pickles", DeployPicklesResult, arguments, work, wait_seconds)


@asking
async def plan_trigger(ctx: Ctx, pickle_id: str, model: str | None, validation: bool) -> TriggerPlan:
    """Which pickle would run, and for which slot."""
    from server.uploads.plans import plan_trigger as plan

    return await plan(state(ctx).settings, pickle_id, model, validation)


@asking
async def ask_trigger(
    ctx: Ctx, plan: Annotated[TriggerPlan, Resolve(plan_trigger)], confirm: str | None
) -> Elicit[Consent] | Consent:
    """Asks the user for a submission; a validation changes nothing that is staked on."""
    if plan.validation:
        return Consent(proceed=True)
    return state(ctx).confirmations.question(plan.facts, confirm, ctx.client_capabilities)


@tool("Run a pickle at Numerai", changes_account=True, repeatable=False, outside=True)
async def trigger_pickle(
    ctx: Ctx,
    pickle_id: str,
    plan: Annotated[TriggerPlan, Resolve(plan_trigger)],
    consent: Annotated[ElicitationResult[Consent], Resolve(ask_trigger)],
    model: Annotated[str | None, Field(description="The slot to submit for; its name or id.")] = None,
    validation: Annotated[bool, Field(description="True: only validate. False: submit; asks the user.")] = True,
    confirm: Confirm = None,
    wait_seconds: WaitSeconds = 45,
) -> TriggerPickleResult:
    """Run a registered pickle at Numerai now. Next: get_trigger_logs with the trigger_id."""
    from server.uploads.carry_out import run_trigger

    app = state(ctx)
    if not validation:
        app.confirmations.settle(plan.facts, consent)

    async def work(progress: Progress) -> TriggerPickleResult:
        return TriggerPickleResult.model_validate(await run_trigger(app.settings, plan, progress))

    return await as_job(ctx, "trigger_pickle", TriggerPickleResult, {"facts": plan.facts}, work, wait_seconds)
