"""The embedded Numerai is as strict, and as lenient, as the real one."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from server.local_numerai.api import WEBHOOK_SET
from server.local_numerai.app import LocalNumerai
from server.local_numerai.faults import Faults
from server.settings import without_numerai
from tests.numerai.serving import registered, serving


def ask(
    local: LocalNumerai, query: str, variables: dict[str, Any] | None = None, *, key: bool = True
) -> dict[str, Any]:
    headers = {"Authorization": f"Token {local.token}"} if key else {}
    return httpx.post(local.api_url, json={"query": query, "variables": variables}, headers=headers).json()


def told(answer: dict[str, Any]) -> str:
    return "; ".join(error["message"] for error in answer["errors"])


def slot_of(local: LocalNumerai) -> dict[str, Any]:
    return next(iter(local.store.models.values()))


def upload_auth(local: LocalNumerai) -> dict[str, str]:
    query = 'query($id: ID) { computePickleUploadAuth(filename: "m.pkl", modelId: $id) { filename url } }'
    return ask(local, query, {"id": slot_of(local)["id"]})["data"]["computePickleUploadAuth"]


CREATE = """mutation($filename: String!, $tournament: Int!, $modelId: ID, $image: ID) {
  createComputePickleUpload(filename: $filename, tournament: $tournament, modelId: $modelId, dockerImageId: $image) {
    id
  }
}"""


def create(local: LocalNumerai, **variables: Any) -> dict[str, Any]:
    return ask(local, CREATE, {"tournament": 8, "modelId": slot_of(local)["id"], **variables})


def test_what_the_schema_lacks_is_refused(local: LocalNumerai):
    assert "Cannot query field 'stake'" in told(ask(local, "{ account { stake } }"))
    assert "Unknown argument 'bogus'" in told(ask(local, "{ rounds(bogus: 1) { number } }"))
    assert "Syntax Error" in told(ask(local, "{ account {"))


def test_fields_with_a_key_refuse_without_one(local: LocalNumerai):
    answer = ask(local, "{ account { id } }", key=False)
    assert (told(answer), answer["errors"][0]["code"]) == (
        "Your session is invalid or has expired.",
        "not_authenticated",
    )
    assert ask(local, "{ computePickleDockerImages { id } }", key=False)["data"]["computePickleDockerImages"]


def test_a_string_variable_serves_for_an_id_and_for_nothing_else(local: LocalNumerai):
    assert "errors" not in ask(local, "query($id: String) { computePickles(modelId: $id) { id } }", {"id": "x"})
    assert "expecting type 'Int'" in told(ask(local, "query($n: String) { rounds(limit: $n) { id } }", {"n": "1"}))


def test_int_goes_to_53_bits(local: LocalNumerai):
    largest = 2**53 - 1
    assert "errors" not in ask(local, "query($n: Int) { rounds(number: $n) { id } }", {"n": largest})
    assert "errors" in ask(local, "query($n: Int) { rounds(number: $n) { id } }", {"n": largest + 1})


def test_a_put_needs_a_length_and_the_signed_headers(local: LocalNumerai):
    url = upload_auth(local)["url"]
    chunks: Iterator[bytes] = iter([b"some", b"bytes"])
    assert httpx.put(url, content=chunks).status_code == 501
    typed = httpx.put(url, content=b"bytes", headers={"Content-Type": "application/octet-stream"})
    assert (typed.status_code, "SignatureDoesNotMatch" in typed.text) == (403, True)
    assert "SignatureDoesNotMatch" in httpx.put(url.replace("m-", "n-"), content=b"bytes").text
    assert "SignatureDoesNotMatch" in httpx.put(url + "0", content=b"bytes").text
    without_length = httpx.Request("PUT", url)
    without_length.headers.pop("content-length", None)
    with httpx.Client() as client:
        assert client.send(without_length).status_code == 411
    assert httpx.put(url, content=b"bytes").status_code == 200


def test_an_address_expires(local: LocalNumerai):
    local.storage.seconds = -1
    expired = httpx.put(upload_auth(local)["url"], content=b"bytes")
    assert (expired.status_code, "Request has expired" in expired.text) == (403, True)


def test_half_a_file_is_not_kept(local: LocalNumerai):
    def half() -> Iterator[bytes]:
        yield b"half"
        raise ConnectionAbortedError

    auth = upload_auth(local)
    with pytest.raises(ConnectionAbortedError):
        httpx.put(auth["url"], content=half(), headers={"Content-Length": "8"})
    assert local.store.files[auth["filename"]]["size"] is None


def test_registration_refuses_what_numerai_refuses(local: LocalNumerai):
    auth = upload_auth(local)
    httpx.put(auth["url"], content=b"bytes")
    assert told(create(local, filename="m.pkl")) == "filename not found"
    assert "not supported" in told(create(local, filename=auth["filename"], tournament=11))
    assert told(create(local, filename=auth["filename"], image="nope")) == "docker image not found"
    assert told(create(local, filename=auth["filename"], modelId="nope")) == "model not found"
    slot_of(local)["submissionWebhook"] = "https://hooks.example"
    assert told(create(local, filename=auth["filename"])) == WEBHOOK_SET
    slot_of(local)["submissionWebhook"] = None
    assert create(local, filename=auth["filename"])["data"]


def test_a_registered_file_without_bytes_turns_out_invalid(local: LocalNumerai):
    pickle_id = create(local, filename=upload_auth(local)["filename"])["data"]["createComputePickleUpload"]["id"]
    status = "{ computePickles { id validationStatus triggerStatus } }"
    while (pickle := ask(local, status)["data"]["computePickles"][0])["triggerStatus"] in ("queued", "running"):
        pass
    assert pickle == {"id": pickle_id, "validationStatus": "invalid", "triggerStatus": "model_failed"}


def test_pickles_are_listed_by_the_slot_they_were_uploaded_for(local: LocalNumerai):
    pickle_id = registered(local)
    slot = slot_of(local)
    ask(local, f'mutation {{ assignPickleToModel(modelId: "{slot["id"]}", pickleId: "{pickle_id}") }}')
    listed = ask(local, "query($id: ID) { computePickles(modelId: $id) { id } }", {"id": slot["id"]})
    assert listed["data"]["computePickles"] == []
    account = ask(local, "{ account { models { computePickleUpload { id assignedModelSlots } } } }")
    (model,) = account["data"]["account"]["models"]
    assert model["computePickleUpload"] == {"id": pickle_id, "assignedModelSlots": [slot["id"]]}


def test_without_an_open_round_a_good_pickle_is_validated_all_the_same(local: LocalNumerai):
    local.round_open = False
    auth = upload_auth(local)
    httpx.put(auth["url"], content=b"bytes")
    create(local, filename=auth["filename"])
    query = "{ computePickles { validationStatus triggers { statuses { status description } } } }"
    while (pickle := ask(local, query)["data"]["computePickles"][0])["validationStatus"] == "pending":
        pass
    assert pickle["validationStatus"] == "validated"
    assert pickle["triggers"][0]["statuses"][-1]["description"] == "No currently open rounds!"


def test_names_and_tournaments_of_slots_are_checked(local: LocalNumerai):
    add = "mutation($name: String!) { addModel(name: $name, tournament: 8) { id } }"
    assert "20 characters" in told(ask(local, add, {"name": "x" * 21}))
    assert "already been taken" in told(ask(local, add, {"name": "my_first_model"}))
    assert ask(local, '{ modelNameAvailable(name: "free", tournament: 8) }')["data"]["modelNameAvailable"]


def test_a_dataset_is_downloaded_from_its_signed_address_only(local: LocalNumerai):
    url = ask(local, '{ dataset(filename: "v5.2/features.json") }', key=False)["data"]["dataset"]
    assert "feature_sets" in httpx.get(url).json()
    assert httpx.get(url.partition("?")[0]).status_code == 403


def test_what_was_stored_is_there_after_a_restart(tmp_path: Path):
    with serving(tmp_path) as local:
        auth = upload_auth(local)
        httpx.put(auth["url"], content=b"bytes")
        create(local, filename=auth["filename"])
        token = local.token
    with serving(tmp_path) as local:
        assert local.token == token
        (pickle,) = ask(local, "{ computePickles { filename } }")["data"]["computePickles"]
        assert (local.store.pickle_folder / pickle["filename"]).read_bytes() == b"bytes"


def test_faults_are_set_over_http_and_follow_their_seed(local: LocalNumerai):
    def statuses() -> list[int]:
        faults = Faults(rate=0.5, seed=7, kinds=["http_503"])
        httpx.post(f"{local.api_url}faults", json=faults.model_dump())
        return [httpx.post(local.api_url, json={"query": "{ tournaments { id } }"}).status_code for _ in range(12)]

    first = statuses()
    assert set(first) == {200, 503}
    assert statuses() == first


@pytest.mark.requires("numerapi")
def test_an_unmodified_numerapi_lists_and_uploads(local: LocalNumerai, tmp_path: Path):
    model = tmp_path / "model.pkl"
    model.write_bytes(b"a pickle")
    public, _, secret = local.token.partition("$")
    script = f"""
import numerapi, numerapi.base_api
numerapi.base_api.API_TOURNAMENT_URL = {local.api_url!r}
api = numerapi.NumerAPI()
api.model_upload_data_versions()["v5.2"], api.model_upload_docker_images()["Python 3.11"], api.list_datasets()
slot = {slot_of(local)["id"]!r}
print(api.model_upload({str(model)!r}, model_id=slot, data_version="v5.2", docker_image="Python 3.11"))
"""
    environment = {**without_numerai(os.environ), "NUMERAI_PUBLIC_ID": public, "NUMERAI_SECRET_KEY": secret}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    (pickle,) = local.store.pickles.values()
    assert done.stdout.strip() == pickle["id"]
    assert pickle["dockerImageName"] == "Python 3.11"
    assert (local.store.pickle_folder / pickle["filename"]).read_bytes() == b"a pickle"


async def test_numerais_tools_take_the_key_as_an_argument_too(local: LocalNumerai):
    from mcp import Client

    async with Client(local.mcp_url) as client:
        bare = await client.call_tool("check_api_credentials", {})
        assert bare.is_error
        known = await client.call_tool("check_api_credentials", {"apiToken": local.token})
        assert known.structured_content and known.structured_content["apiTokenInfo"]["accountUsername"]
        mutation = {"query": 'mutation { addModel(name: "x", tournament: 8) { id } }', "apiToken": local.token}
        assert (await client.call_tool("graphql_query", mutation)).is_error
