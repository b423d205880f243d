"""Pulling an image, from a registry on this machine that answers as told."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import subprocess
import tarfile
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from server.errors import EngineFailure, ImageMissing
from server.runners.engine import find_image, open_engine, pull_image

pytestmark = pytest.mark.requires("docker")


def digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def small_image() -> dict[str, tuple[str, bytes]]:
    """What a registry serves of an image with one file: media type and content by the end of the path."""
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as tar:
        tar.addfile(tarfile.TarInfo("file"))
    packed = gzip.compress(layer.getvalue(), mtime=0)
    config = json.dumps(
        {
            "architecture": "amd64",
            "os": "linux",
            "config": {"Entrypoint": ["python", "predict.py"]},
            "rootfs": {"type": "layers", "diff_ids": [digest(layer.getvalue())]},
        }
    ).encode()
    kind = "application/vnd.docker."
    manifest = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": f"{kind}distribution.manifest.v2+json",
            "config": {"mediaType": f"{kind}container.image.v1+json", "size": len(config), "digest": digest(config)},
            "layers": [
                {
                    "mediaType": f"{kind}image.rootfs.diff.tar.gzip",
                    "size": len(packed),
                    "digest": digest(packed),
                }
            ],
        }
    ).encode()
    described = (f"{kind}distribution.manifest.v2+json", manifest)
    blobs = {digest(blob): ("application/octet-stream", blob) for blob in (config, packed)}
    return {"good": described, digest(manifest): described, **blobs}


class Registry(BaseHTTPRequestHandler):
    served = small_image()

    def do_GET(self) -> None:
        end = self.path.rpartition("/")[2]
        status = 200 if not end or end in self.served else 403 if end == "denied" else 404
        code = {403: "DENIED", 404: "MANIFEST_UNKNOWN"}.get(status)
        refusal = json.dumps({"errors": [{"code": code, "message": code}]}).encode()
        kind, content = ("application/json", refusal) if code else self.served.get(end, ("text/plain", b""))
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Docker-Content-Digest", digest(content))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content)

    do_HEAD = do_GET


@pytest.fixture
def registry() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Registry)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


async def pull(reference: str) -> list[str]:
    lines: list[str] = []

    async def tell(line: str) -> None:
        lines.append(line)

    async with open_engine() as client:
        await pull_image(client, reference, tell)
    return lines


async def test_a_pulled_image_is_there_and_its_digest_is_the_registrys(registry: str) -> None:
    reference = f"{registry}/numerai/image:good"
    try:
        lines = await pull(reference)
        async with open_engine() as client:
            found = await find_image(client, reference)
    finally:
        subprocess.run(["docker", "rmi", "-f", reference], capture_output=True)
    assert lines[0] == f"Pulling {reference}"
    assert found
    assert (found.digest, found.stand_in) == (digest(small_image()["good"][1]), False)


async def test_a_registry_that_lacks_the_image_is_told_from_one_that_refuses_and_one_that_is_silent(
    registry: str,
) -> None:
    with pytest.raises(ImageMissing, match="does not have"):
        await pull(f"{registry}/numerai/image:none")
    with pytest.raises(ImageMissing, match="does not let this user pull"):
        await pull(f"{registry}/numerai/image:denied")
    with pytest.raises(EngineFailure, match="does not answer") as caught:
        await pull("127.0.0.1:9/numerai/image:good")
    assert "connection refused" in caught.value.evidence
