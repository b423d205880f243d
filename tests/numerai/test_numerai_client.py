"""Reading and changing an account, over GraphQL and over Numerai's own MCP alike."""

from __future__ import annotations

import pytest

from server.errors import CredentialsMissing, InputError, NumeraiRefused, NumeraiUnreachable
from server.local_numerai.app import LocalNumerai
from server.numerai.account import choose_data_version, choose_image, find_slot, require_scope
from server.numerai.changes import assign, clear_webhook, create_slot, set_label, trigger
from server.numerai.watch import watch_trigger
from tests.numerai.serving import Connect, all_calls, registered


async def test_what_is_public_needs_no_key(connect: Connect):
    async with connect(token=None) as numerai:
        images = await numerai.docker_images()
        assert [image.reference for image in images if image.default] == [
            "ghcr.io/numerai/numerai_predict_py_3_12:a78dedd"
        ]
        assert images[0].default and images[0].python_version == "3.12"
        assert [version.name for version in await numerai.data_versions()] == ["v5.2"]
        assert "v5.2/live.parquet" in await numerai.list_datasets()
        assert (await numerai.dataset_url("v5.2/features.json")).startswith("http://127.0.0.1")
        assert [each.number for each in await numerai.rounds(limit=2, status="OPEN")] != []
        assert {each.tournament for each in await numerai.tournaments()} >= {8}
        assert await numerai.pipeline_status()
        assert await numerai.model_name_available("nobody_has_this")


async def test_deprecated_images_come_on_request_only(connect_graphql: Connect):
    async with connect_graphql() as numerai:
        assert not any(image.deprecated for image in await numerai.docker_images())
        assert any(image.deprecated for image in await numerai.docker_images(deprecated=True))


async def test_without_a_key_the_error_says_where_to_make_one(connect: Connect):
    async with connect(token=None) as numerai:
        with pytest.raises(CredentialsMissing, match=r"numer\.ai/account"):
            await numerai.account()


async def test_a_key_that_numerai_does_not_know_is_refused_without_showing_it(connect: Connect):
    async with connect(token="WRONG$NOTTHEKEY") as numerai:
        with pytest.raises(CredentialsMissing) as caught:
            await numerai.account()
        assert "NOTTHEKEY" not in str(caught.value)


async def test_a_missing_scope_is_named(local: LocalNumerai, connect: Connect):
    local.store.scopes.remove("upload_submission")
    async with connect() as numerai:
        with pytest.raises(CredentialsMissing, match="upload_submission"):
            await require_scope(numerai, "upload_submission")
        with pytest.raises(CredentialsMissing, match="upload_submission"):
            await numerai.upload_auth("model.pkl", next(iter(local.store.models)))


async def test_a_slot_is_made_once_and_read_back(local: LocalNumerai, connect: Connect):
    async with connect() as numerai:
        slot = await create_slot(numerai, "brand_new")
        assert find_slot(await numerai.account(), "brand_new").id == slot.id
        with pytest.raises(InputError, match="already has a slot"):
            await create_slot(numerai, "brand_new")
        with pytest.raises(InputError, match="1 to 20"):
            await create_slot(numerai, "a_name_that_is_far_too_long")
    assert len(local.store.models) == 2


async def test_an_unknown_slot_lists_near_names(connect: Connect):
    async with connect() as numerai:
        with pytest.raises(InputError, match="my_first_model"):
            find_slot(await numerai.account(), "my_frist_model")


async def test_an_archived_slot_and_one_of_another_tournament_take_no_pickles(local: LocalNumerai, connect: Connect):
    local.store.add_model("old")["archived"] = True
    local.store.add_model("signals")["tournament"] = 11
    async with connect() as numerai:
        account = await numerai.account()
        with pytest.raises(InputError, match="archived"):
            find_slot(account, "old")
        with pytest.raises(InputError, match="tournament 11"):
            find_slot(account, "signals")


async def test_an_assignment_tells_what_ran_before_and_null_disables(local: LocalNumerai, connect: Connect):
    first, second = registered(local), registered(local)
    async with connect() as numerai:
        slot = (await numerai.account()).models[0]
        assert (await assign(numerai, slot.id, first)).previous_pickle_id is None
        done = await assign(numerai, slot.id, second)
        assert done.previous_pickle_id == first
        assert done.slot.assigned and done.slot.assigned.id == second
        disabled = await assign(numerai, slot.id, None)
        assert disabled.previous_pickle_id == second and disabled.slot.assigned is None


async def test_an_execution_is_triggered_and_watched_and_its_log_read(local: LocalNumerai, connect: Connect):
    pickle_id = registered(local)
    async with connect() as numerai:
        started = await trigger(numerai, pickle_id, validation=False)
        pickle = await watch_trigger(numerai, pickle_id, started.id)
        (execution,) = pickle.triggers
        assert (execution.type, execution.status) == ("submission", "submission_succeeded")
        assert await numerai.trigger_logs(execution.id) == []


async def test_a_label_is_read_back(local: LocalNumerai, connect_graphql: Connect):
    pickle_id = registered(local)
    async with connect_graphql() as numerai:
        assert (await set_label(numerai, pickle_id, "ender 20")).label == "ender 20"


async def test_a_webhook_is_cleared_and_only_its_host_is_ever_known(local: LocalNumerai, connect_graphql: Connect):
    slot_id, slot = next(iter(local.store.models.items()))
    slot["submissionWebhook"] = "https://hooks.example/secret-path?key=1"
    async with connect_graphql() as numerai:
        known = (await numerai.account()).models[0]
        assert known.webhook_host == "hooks.example"
        assert "secret-path" not in repr(known)
        assert (await clear_webhook(numerai, slot_id)).webhook_host is None
    assert slot["submissionWebhook"] is None


async def test_what_mcp_cannot_do_names_the_other_transport(local: LocalNumerai, connect_mcp: Connect):
    pickle_id = registered(local)
    async with connect_mcp() as numerai:
        with pytest.raises(NumeraiRefused, match="NUMERAI_TRANSPORT=graphql"):
            await set_label(numerai, pickle_id, "ender 20")


async def test_a_numerai_that_does_not_answer_is_an_error_that_changes_nothing(local: LocalNumerai, connect: Connect):
    local.faults.set(all_calls("http_503"))
    async with connect() as numerai:
        with pytest.raises(NumeraiUnreachable, match="Nothing was changed"):
            await numerai.account()


async def test_the_image_is_the_default_if_its_python_fits_else_the_newest_that_does(connect: Connect):
    async with connect() as numerai:
        images = await numerai.docker_images()
        assert choose_image(images).python_version == "3.12"
        assert choose_image(images, python_version="3.11").python_version == "3.11"
        wanted = "ghcr.io/numerai/numerai_predict_py_3_10:a78dedd"
        assert choose_image(images, wanted).reference == wanted
        with pytest.raises(InputError, match=r"3\.9"):
            choose_image(images, python_version="3.9")
        with pytest.raises(InputError, match="has no docker image"):
            choose_image(images, "numerai_predict:stable")
        versions = await numerai.data_versions()
        assert choose_data_version(versions).name == choose_data_version(versions, "v5.2").name
        with pytest.raises(InputError, match="has no data version"):
            choose_data_version(versions, "v4")
