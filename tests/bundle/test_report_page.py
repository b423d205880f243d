"""The report's page shows what the report says, and opens without network."""

from __future__ import annotations

import dataclasses
import re
from html.parser import HTMLParser
from typing import Any

import pytest

from bundle_core.bundle import save
from bundle_core.check import check
from bundle_core.conversion import convert
from bundle_core.packing import pack
from bundle_core.report_page import render
from bundle_core.reports import CheckRequest, ConvertRequest
from tests.bundle.small_models import bundle_of, live_frame


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("report")
    save(bundle_of({}), folder / "model.npz")
    live = live_frame(200)
    live.to_parquet(folder / "live.parquet")
    (0.1 + 0.1 * live["feature_a"] + 0.05 * live["feature_b"] + 0.01 * live["feature_c"]).rename("raw").to_csv(
        folder / "raw.csv"
    )
    request = ConvertRequest("out.npz", str(folder), "model.npz", sample="live.parquet", reference="raw.csv")
    parts = {"convert": convert(request), "pack": pack(bundle_of({}), folder / "m.pkl")}
    sample = str(folder / "live.parquet")
    parts["check"] = check(CheckRequest(str(folder / "m.pkl"), sample=sample, bundle_path=str(folder / "out.npz")))
    return {
        "pickle": "m<1>.pkl",
        "image": "ghcr.io/numerai/x:y",
        **{k: dataclasses.asdict(v) for k, v in parts.items()},
    }


class Strict(HTMLParser):
    """Counts the pictures and keeps what a browser would fetch."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.fetched: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.fetched += [value or "" for name, value in attrs if name in ("src", "href", "srcset")]


def test_the_page_has_a_picture_of_each_and_fetches_nothing(report: dict[str, Any]) -> None:
    page = render(report)
    parser = Strict()
    parser.feed(page)
    assert parser.fetched == []
    assert "script" not in parser.tags
    assert "url(" not in page
    assert parser.tags.count("section") == 4
    assert len(re.findall('class="mark"', page)) == len(report["convert"]["parity"]["points"]) == 200
    assert report["pack"]["sha256"] in page
    assert "m&lt;1&gt;.pkl" in page


def test_findings_and_missing_figures_are_told(report: dict[str, Any]) -> None:
    finding = {"cause": "predictions hold NaN", "evidence": "3 of 200 rows"}
    broken = {**report["check"], "contract": [finding], "predict_seconds": None, "histogram": []}
    page = render({"pack": {**report["pack"], "description": None}, "check": broken, "script": {"findings": []}})
    assert "predictions hold NaN: 3 of 200 rows" in page
    assert "time: not measured" in page
    assert "No predictions." in page
