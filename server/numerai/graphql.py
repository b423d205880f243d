"""The GraphQL transport: one POST an operation, to the configured address only."""

from __future__ import annotations

import email.utils
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx

from server.errors import NumeraiRefused
from server.numerai.operations import Operation
from server.numerai.pace import Pace, PassingFault, attempt
from server.numerai.refusals import INTERNAL, refusal
from server.settings import Settings


class GraphQL:
    """Sends operations as GraphQL over HTTP. `name` is its value of NUMERAI_TRANSPORT."""

    name = "graphql"

    def __init__(self, client: httpx.AsyncClient, settings: Settings, pace: Pace) -> None:
        self._client = client
        self._settings = settings
        self._pace = pace

    async def call(self, operation: Operation, variables: Mapping[str, Any]) -> Any:
        """The value of the operation's root field.

        Raises:
            CredentialsMissing, NumeraiRefused, NumeraiUnreachable, OutcomeUnknown.
        """
        headers = {"Accept": "application/json"}
        if not operation.public:
            headers["Authorization"] = self._settings.require_credentials().authorization

        async def send() -> Any:
            body = {"query": operation.document, "variables": dict(variables)}
            try:
                response = await self._client.post(self._settings.api_url, json=body, headers=headers)
            except httpx.HTTPError as error:
                raise _fault(error) from None
            except httpx.InvalidURL:
                raise NumeraiRefused("The address in NUMERAI_API_URL is not usable.") from None
            return _field(response, operation)

        return await attempt(send, what=operation.field, changes=operation.changes, pace=self._pace)


@asynccontextmanager
async def open_graphql(settings: Settings, pace: Pace) -> AsyncGenerator[GraphQL]:
    """The transport, with connections that are closed at the end. Proxies and CA files as httpx reads them."""
    timeout = httpx.Timeout(pace.call_seconds, connect=min(15.0, pace.call_seconds))
    async with httpx.AsyncClient(timeout=timeout, follow_redirects=False) as client:
        yield GraphQL(client, settings, pace)


def _fault(error: httpx.HTTPError) -> PassingFault:
    # The exception's text and its request hold URLs; only its kind is told.
    never_sent = isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout | httpx.ProxyError)
    kinds: dict[type[httpx.HTTPError], str] = {
        httpx.ConnectError: "no connection (network, name or certificate)",
        httpx.ConnectTimeout: "no connection in time",
        httpx.ReadTimeout: "the answer did not come in time",
    }
    return PassingFault(kinds.get(type(error), type(error).__name__), maybe_done=not never_sent)


def _field(response: httpx.Response, operation: Operation) -> Any:
    status = response.status_code
    if status == 429:
        raise PassingFault("HTTP 429, too many requests", maybe_done=False, retry_after=retry_after(response.headers))
    if status >= 500:
        raise PassingFault(f"HTTP {status}", maybe_done=True, retry_after=retry_after(response.headers))
    if response.is_redirect:
        raise NumeraiRefused(
            "The address in NUMERAI_API_URL redirects elsewhere; the key is not sent there.",
            evidence=f"HTTP {status} to the host {httpx.URL(response.headers['location']).host or 'itself'}",
            next_step="Set NUMERAI_API_URL to the final address, or unset it for Numerai itself.",
        )
    try:
        body = response.json()
    except ValueError:
        body = None
    if not isinstance(body, dict):
        if status == 401:
            raise refusal("HTTP 401: not authenticated", operation.field)
        if status == 403:
            raise NumeraiRefused(
                f"Numerai, or something before it, refused {operation.field}.",
                evidence="HTTP 403 with a body that is no JSON, as firewalls and proxies answer.",
                next_step="Check the proxy and the network's rules for this address, then call again.",
            )
        if status >= 400:
            raise refusal(f"HTTP {status}", operation.field)
        raise PassingFault(f"HTTP {status} with a body that is no JSON object", maybe_done=True)
    return field_of(body, operation, status)


def field_of(body: Mapping[str, Any], operation: Operation, status: int = 200) -> Any:
    """The root field's value in a GraphQL answer.

    An answer with errors is never taken, even where it holds data: a list that lacks an entry would read as
    "not there yet" and lead to a second registration.
    """
    errors = body.get("errors")
    data = body.get("data")
    value = data.get(operation.field) if isinstance(data, Mapping) else None
    if errors:
        message = _messages(errors)
        if value is not None or INTERNAL.search(message):
            raise PassingFault(f"errors beside the data: {message}", maybe_done=True)
        raise refusal(message, operation.field)
    if status in (401, 403):
        raise refusal(f"HTTP {status}: not authenticated", operation.field)
    if status >= 400:
        raise refusal(f"HTTP {status}", operation.field)
    if not isinstance(data, Mapping) or operation.field not in data:
        raise PassingFault("an answer without data", maybe_done=True)
    return value


def _messages(errors: Any) -> str:
    entries: list[Any] = errors if isinstance(errors, list) else [errors]
    texts = (entry.get("message") or entry.get("detail") if isinstance(entry, Mapping) else entry for entry in entries)
    return "; ".join(str(text) for text in texts if text)


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait by the Retry-After header; a date counts from the answer's own Date, so clocks may differ."""
    value = headers.get("retry-after", "").strip()
    if value.isdigit():
        return float(value)
    try:
        until = email.utils.parsedate_to_datetime(value)
        now = email.utils.parsedate_to_datetime(headers.get("date", ""))
        return max(0.0, (until - now).total_seconds())
    except (TypeError, ValueError):
        return None
