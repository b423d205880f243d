"""The report pages open without network and show what the results say."""

from __future__ import annotations

import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tests.agent_session import agent_session

DATA = Path(__file__).parents[1] / "data"
ADDRESSED = ("src", "href", "srcset", "data", "action")


class Page(HTMLParser):
    """What a browser would fetch, the tags, and the text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.fetched: list[str] = []
        self.tags: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.fetched += [value or "" for name, value in attrs if name in ADDRESSED]

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.mark.requires("python:3.12")
async def test_the_pages_of_a_build_and_a_run(tmp_path: Path) -> None:
    async with agent_session(tmp_path) as agent:
        shutil.copy(DATA / "small_forest.txt", agent.workspace / "a<b>.txt")
        shutil.copy(DATA / "live.parquet", agent.workspace)
        await agent.call("make_venv")
        built = await agent.call("build_pickle", model_path="a<b>.txt", sample="live.parquet", output="f<i>.pkl")
        build = Page(Path(built["report_path"]).with_suffix(".html").read_text())
        ran = await agent.call(
            "run_container_debug", pickle_path="f<i>.pkl", runner="venv", dataset="live.parquet", memory_mb=2048
        )
        run = Page(Path(ran["report_path"]).read_text())
    for page in (build, run):
        assert page.fetched == [] and "script" not in page.tags
        assert "svg" in page.tags and "f<i>.pkl" in page.text
    assert built["sha256"] in build.text and "feature_alder" in build.text
    assert re.search(r"of 600 s", build.text) and re.search(r"of 4,096 MB", build.text)
    assert "of 2,048 MB" in run.text and "40" in run.text
