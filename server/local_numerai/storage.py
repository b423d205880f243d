"""The embedded Numerai's file storage: presigned addresses, and PUTs by S3's rules."""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import parse_qs, quote, urlencode

import anyio
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, Response

from server.local_numerai.store import Store, load_world

LARGEST_OBJECT = 5 * 1024**3
"""S3's limit for one PUT, in bytes."""

FIXED_FILES = Path(__file__).parents[1] / "demo" / "data"


class Storage:
    """Signs addresses under `base_url` that live `seconds`, takes files by PUT and gives them by GET."""

    def __init__(self, store: Store, base_url: str, *, seconds: int = 600) -> None:
        self._store = store
        self._base_url = base_url
        self.seconds = seconds

    def put_url(self, filename: str) -> str:
        """Leave to PUT the file once or more, until it expires."""
        return self._signed("PUT", f"storage/{filename}")

    def get_url(self, filename: str) -> str:
        """Leave to GET a dataset file or (`pickles/NAME`) an uploaded pickle."""
        return self._signed("GET", f"storage/{filename}")

    async def put(self, request: Request) -> Response:
        """Store the body, or say why not as S3 does: 411, 501, 403 or 400, in XML."""
        name = request.path_params["filename"]
        headers = request.headers
        refused = self._refused("PUT", request)
        if refused:
            return refused
        if "content-type" in headers:
            return _error(403, "SignatureDoesNotMatch", SIGNATURE)
        if "chunked" in headers.get("transfer-encoding", "").lower():
            return _error(501, "NotImplemented", "A header you provided implies functionality that is not implemented")
        if "content-length" not in headers:
            return _error(411, "MissingContentLength", "You must provide the Content-Length HTTP header.")
        if int(headers["content-length"]) > LARGEST_OBJECT:
            return _error(400, "EntityTooLarge", "Your proposed upload exceeds the maximum allowed size")
        temporary = self._store.pickle_folder / f".{name}.{time.monotonic_ns()}"
        try:
            size, digest = await _receive(request, temporary)
        except ClientDisconnect:
            temporary.unlink(missing_ok=True)
            return Response(status_code=400)
        temporary.replace(self._store.pickle_folder / name)
        self._store.files[name] |= {"size": size, "sha256": digest}
        self._store.save()
        return Response(status_code=200, headers={"ETag": f'"{digest[:32]}"'})

    async def get(self, request: Request) -> Response:
        """A dataset file or an uploaded pickle."""
        name = request.path_params["filename"]
        refused = self._refused("GET", request)
        if refused:
            return refused
        if name.startswith("pickles/"):
            return FileResponse(self._store.pickle_folder / name.removeprefix("pickles/"))
        return FileResponse(FIXED_FILES / load_world()["datasets"][name])

    def _refused(self, method: str, request: Request) -> Response | None:
        path = quote(request.scope["path"].lstrip("/"))
        given = {key: values[-1] for key, values in parse_qs(request.url.query).items()}
        signature = given.pop("X-Amz-Signature", "")
        if not hmac.compare_digest(signature, self._signature(method, path, given)):
            return _error(403, "SignatureDoesNotMatch", SIGNATURE)
        if time.time() > int(given["X-Amz-Date"]) + int(given["X-Amz-Expires"]):
            return _error(403, "AccessDenied", "Request has expired")
        return None

    def _signed(self, method: str, path: str) -> str:
        query = {"X-Amz-Date": str(int(time.time())), "X-Amz-Expires": str(self.seconds)}
        query["X-Amz-Signature"] = self._signature(method, quote(path), query)
        return f"{self._base_url}/{quote(path)}?{urlencode(query)}"

    def _signature(self, method: str, path: str, query: Mapping[str, str]) -> str:
        text = "\n".join([method, path, urlencode(sorted(query.items()))])
        return hmac.new(self._store.signing_key.encode(), text.encode(), hashlib.sha256).hexdigest()


SIGNATURE = "The request signature we calculated does not match the signature you provided."


async def _receive(request: Request, path: Path) -> tuple[int, str]:
    digest, size = hashlib.sha256(), 0
    async with await anyio.open_file(path, "wb") as file:
        async for chunk in request.stream():
            digest.update(chunk)
            size += len(chunk)
            await file.write(chunk)
    return size, digest.hexdigest()


def _error(status: int, code: str, message: str) -> Response:
    body = f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{code}</Code><Message>{message}</Message></Error>'
    return Response(body, status_code=status, media_type="application/xml")
