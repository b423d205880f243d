"""`numerai-pickle-mcp demo`: an agent's whole session over stdio, against the embedded Numerai."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
from anyio.streams.text import TextReceiveStream
from mcp.client import Client
from mcp.client.session import ClientRequestContext
from mcp.client.stdio import StdioServerParameters, stdio_client
from mcp_types import ElicitRequestParams, ElicitResult, TextContent

from server.demo.screen import Screen
from server.errors import InputError, NumeraiUnreachable, PickleMcpError
from server.settings import is_loopback, without_numerai

DATA = Path(__file__).parent / "data"
FILES = (
    "model.txt.xz",
    "live.parquet",
    "live_benchmark_models.parquet",
    "lightgbm_predictions.parquet",
    "features.json",
)
SLOT = "demo_forest"
START_SECONDS = 30.0


class DemoFailed(Exception):
    """A step did not give what it should."""


def main(folder: Path | None = None) -> int:
    """Run the demo in `folder` (a new temporary one where None); 0, or 1 with the reason printed."""
    screen = Screen()
    folder = (folder or Path(tempfile.mkdtemp(prefix="numerai-pickle-demo-"))).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    try:
        anyio.run(_demo, folder, screen)
    except BaseExceptionGroup as group:
        expected, other = group.split((DemoFailed, PickleMcpError))
        if expected is None or other is not None:
            raise
        screen.end(f"The demo failed: {_first(expected)}")
        return 1
    return 0


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    inner = group.exceptions[0]
    return _first(inner) if isinstance(inner, BaseExceptionGroup) else inner


async def _demo(folder: Path, screen: Screen) -> None:
    for name in FILES:
        (folder / name).write_bytes((DATA / name).read_bytes())
    async with _embedded_numerai(folder / ".numerai") as numerai, _agent(folder, numerai, screen) as agent:
        screen.say(f"Embedded Numerai at {numerai['NUMERAI_API_URL']}; files in {folder}")
        await _session(Steps(agent, screen), screen, folder)


async def _session(steps: Steps, screen: Screen, folder: Path) -> None:
    """The tools in the order of the skill."""
    await steps.call("check_api_credentials")
    images = (await steps.call("query_docker_images"))["images"]
    image = await _venv_for_an_image(steps, images, screen)
    built = await steps.call(
        "build_pickle",
        model_path="model.txt.xz",
        sample="live.parquet",
        reference="lightgbm_predictions.parquet",
        pipeline={"rank": "era"},
    )
    inspected = await steps.call("inspect_pickle", pickle_path="model.pkl", docker_image=image)
    ran = await steps.call("run_container_debug", pickle_path="model.pkl", docker_image=image)
    _expect(ran["ok"], f"the pickle did not run: {ran['failure']}")
    await steps.call("create_model", name=SLOT)
    uploaded = await steps.call(
        "upload_pickle", pickle_path="model.pkl", model=SLOT, docker_image=image, label="demo", assign=True
    )
    _expect(uploaded["validation_status"] == "validated", f"the pickle is {uploaded['validation_status']}")
    _expect(uploaded["assigned"], "the pickle was not assigned")
    slots = await steps.call("list_models", name_contains=SLOT)
    _expect(slots["models"][0]["assigned_pickle_id"] == uploaded["pickle_id"], "the slot runs another pickle")
    triggered = await steps.call("trigger_pickle", pickle_id=uploaded["pickle_id"])
    logs = await steps.call("get_trigger_logs", trigger_id=triggered["trigger_id"])
    _expect(not any(f["verdict"] == "will_fail" for f in inspected["findings"]), "the inspection says it will fail")
    _tell_what_was_proven(screen, folder, built, ran, logs)


async def _venv_for_an_image(steps: Steps, images: list[dict[str, Any]], screen: Screen) -> str:
    """A venv for the default image, else for the newest one whose Python there is; the image's reference."""
    default = next(image for image in images if image["default"])
    others = sorted(
        (image for image in images if image is not default),
        key=lambda image: tuple(int(part) for part in (image["python_version"] or "0").split(".")),
        reverse=True,
    )
    problem = ""
    for image in (default, *others):
        try:
            await steps.call("make_venv", docker_image=image["reference"])
        except DemoFailed as failure:
            problem = problem or str(failure)
            screen.say(f"No venv for {image['reference']}; trying the next image.")
        else:
            return image["reference"]
    raise DemoFailed(problem)


def _tell_what_was_proven(
    screen: Screen, folder: Path, built: dict[str, Any], ran: dict[str, Any], logs: dict[str, Any]
) -> None:
    parity, shares = built["parity"], (ran["seconds_share"], ran["memory_share"] or 0.0)
    equal = "identical" if parity["status"] == "identical" else f"at most {parity['max_abs_diff']} apart"
    _expect(parity["status"] == "identical", f"the raw scores are not LightGBM's: {parity}")
    refused = [finding["cause"] for finding in ran["contract"] if finding["severity"] == "refused"]
    where = {
        "image": "in Numerai's image",
        "stand_in": "in a stand-in of Numerai's image (it has the image's Python and main packages)",
        "venv": "in the matching venv, not in a container",
    }[ran["proof"]["ran_in"]]
    screen.end(
        "Proven:\n"
        f"  parity     {parity['rows']:,} rows beside LightGBM's own predictions: {equal}\n"
        f"  contract   {'; '.join(refused) or 'keeps all rules of predict.py and of the submission'}\n"
        f"  limits     {ran['seconds']:.1f} s of 600 s ({shares[0]:.1%}), "
        f"{ran['peak_memory_mb'] or 0:.0f} MB of 4096 MB ({shares[1]:.1%}); "
        f"predict alone {built['predict_seconds']:.3f} s\n"
        f"  run        {where}, on {ran['data']}\n"
        f"  Numerai    validated and assigned (embedded stand-in): {logs['validation_status']}\n"
        f"Files in {folder}:\n"
        f"  {Path(built['pickle_path']).name} ({built['size_bytes']:,} bytes), {Path(built['bundle_path']).name}, "
        f"{Path(built['report_path']).name}; predictions {ran['predictions']['csv_path']}"
    )


class Steps:
    """Calls tools one after another and shows each."""

    def __init__(self, agent: Client, screen: Screen) -> None:
        self._agent = agent
        self._screen = screen

    async def call(self, tool: str, **arguments: Any) -> dict[str, Any]:
        """The tool's structured result, waited for where it is a job.

        Raises:
            DemoFailed: the tool said no.
        """

        async def report(progress: float, total: float | None, message: str | None) -> None:
            self._screen.progress(message or "")

        self._screen.step(tool, arguments)
        result = await self._agent.call_tool(tool, arguments, progress_callback=report)
        content = result.structured_content or {}
        while not result.is_error and content.get("status") == "running":
            waiting = {"job_id": content["job_id"]}
            result = await self._agent.call_tool("get_job", waiting, progress_callback=report)
            content = result.structured_content or {}
        if result.is_error:
            text = "\n".join(block.text for block in result.content if isinstance(block, TextContent))
            self._screen.failed(text)
            raise DemoFailed(f"{tool} said: {text}")
        self._screen.done(str(content["summary"]))
        return content


@asynccontextmanager
async def _embedded_numerai(state: Path) -> AsyncGenerator[dict[str, str]]:
    """`local-numerai` as a process of its own; the variables that it prints."""
    command = [sys.executable, "-m", "server.cli", "local-numerai", "--state", str(state)]
    async with await anyio.open_process(command, stderr=None, stdin=None, env=without_numerai()) as process:
        try:
            with anyio.fail_after(START_SECONDS):
                variables = await _three_lines(TextReceiveStream(process.stdout)) if process.stdout else {}
            yield variables
        finally:
            process.terminate()


async def _three_lines(stdout: TextReceiveStream) -> dict[str, str]:
    text = ""
    async for part in stdout:
        text += part
        if text.count("\n") >= 3:
            found = dict(line.split("=", 1) for line in text.splitlines()[:3])
            if not all(is_loopback(found[name]) for name in ("NUMERAI_API_URL", "NUMERAI_MCP_URL")):
                raise InputError("The demo talks to this machine only; that address is elsewhere.")
            return found
    raise NumeraiUnreachable("The embedded Numerai ended before it listened.", evidence=text)


@asynccontextmanager
async def _agent(folder: Path, numerai: dict[str, str], screen: Screen) -> AsyncGenerator[Client]:
    """The SDK's client, connected to `numerai-pickle-mcp serve`. It plays the user, too: it agrees, and says so."""
    own = {"NUMERAI_PICKLE_MCP_STATE": str(folder / ".state"), "NUMERAI_PICKLE_MCP_CACHE": str(folder / ".cache")}
    server = StdioServerParameters(
        command=sys.executable,
        args=["-m", "server.cli", "serve", "--workspace", str(folder)],
        env={**without_numerai(), **numerai, **own},
    )

    async def agree(context: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult:
        screen.asked(params.message)
        return ElicitResult(action="accept", content={"proceed": True})

    async with Client(stdio_client(server), elicitation_callback=agree) as client:
        yield client


def _expect(fact: object, otherwise: str) -> None:
    if not fact:
        raise DemoFailed(otherwise)
