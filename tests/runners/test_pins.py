"""Which versions an image holds, also when its commit is new or nobody answers."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from server.errors import EnvironmentFailure
from server.runners import pins
from server.runners.pins import pins_for, read_pins
from server.runners.types import DockerImage

NEW = DockerImage(None, "Python 3.12", "numerai_predict_py_3_12", "0123abc")


@contextmanager
def github(body: bytes, status: int = 200) -> Iterator[str]:
    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status if self.path == "/0123abc/py3.12/requirements.txt" else 404)
            self.end_headers()
            self.wfile.write(body)

    server = HTTPServer(("127.0.0.1", 0), Answer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/{{tag}}/py{{python}}/requirements.txt"
    finally:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize(
    ("minor", "numpy"), [("3_10", "1.26.4"), ("3_11", "2.1.3"), ("3_12", "2.1.3"), ("3_13", "2.2.6")]
)
async def test_the_pins_of_the_current_images_are_shipped(minor: str, numpy: str, tmp_path: Path) -> None:
    found = await pins_for(DockerImage(None, "", f"numerai_predict_py_{minor}", "a78dedd"), tmp_path)
    assert (found.source, found.versions["numpy"], found.warnings) == ("shipped", numpy, ())
    assert {"pandas", "scipy", "cloudpickle", "pyarrow", "lightgbm", "scikit-learn"} < found.versions.keys()


async def test_a_new_images_pins_are_fetched_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with github(b"numpy==2.3.0\nscikit_learn==1.7.0 ; python_version > '3'\n") as url:
        monkeypatch.setattr(pins, "SOURCE", url)
        fetched = await pins_for(NEW, tmp_path)
    again = await pins_for(NEW, tmp_path)
    assert fetched == again
    assert (fetched.source, fetched.versions) == ("fetched", {"numpy": "2.3.0", "scikit-learn": "1.7.0"})


@pytest.mark.parametrize("body", [b"", b"<html>numpy is nice</html>"])
async def test_an_answer_without_pins_is_not_kept(body: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with github(body) as url:
        monkeypatch.setattr(pins, "SOURCE", url)
        found = await pins_for(NEW, tmp_path)
    assert found.source == "nearest"
    assert not (tmp_path / "pins").exists()


async def test_where_nobody_answers_the_nearest_runtime_serves_and_a_warning_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pins, "SOURCE", "http://127.0.0.1:9/{tag}/{python}")
    found = await pins_for(NEW, tmp_path)
    assert found.versions["lightgbm"] == "4.5.0"
    assert "0123abc could not be had" in found.warnings[0]
    assert "py3.12 at a78dedd" in found.warnings[0]


async def test_a_python_that_no_runtime_has_gets_the_newest_runtimes_pins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pins, "SOURCE", "http://127.0.0.1:9/{tag}/{python}")
    found = await pins_for(DockerImage(None, "", "numerai_predict_py_3_14", "0123abc"), tmp_path)
    assert (found.python_version, found.versions["numpy"]) == ("3.14", "2.2.6")
    assert "py3.13" in found.warnings[0]


async def test_a_tag_that_is_no_commit_reaches_neither_a_path_nor_a_url(tmp_path: Path) -> None:
    found = await pins_for(DockerImage(None, "", "numerai_predict_py_3_12", "../../x"), tmp_path)
    assert found.source == "nearest"
    assert "not a commit" in found.warnings[0]


async def test_an_image_that_does_not_tell_its_python_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentFailure, match="does not tell its Python"):
        await pins_for(DockerImage(None, "", "something", "a78dedd"), tmp_path)


def test_comments_hashes_and_extras_are_no_part_of_a_pin() -> None:
    text = "# numpy==1\nJoblib==1.5.1 \\\n  --hash=sha256:0\nkeras[all]==3.10.0  # pinned\ngit+https://x\n"
    assert read_pins(text) == {"joblib": "1.5.1", "keras": "3.10.0"}
