"""Typed settings, read once from the environment and the command line."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, SecretStr

from server.errors import CredentialsMissing, InputError

NUMERAI_API_URL = "https://api-tournament.numer.ai/"
NUMERAI_MCP_URL = "https://api-tournament.numer.ai/mcp"
KEY_PAGE = "https://numer.ai/account"


class Credentials(BaseModel):
    """An API key. `source` names the environment variables it came from, never their values."""

    model_config = ConfigDict(frozen=True)

    token: SecretStr
    source: str

    @property
    def authorization(self) -> str:
        """The value of the Authorization header: `Token PUBLIC$SECRET`."""
        return f"Token {self.token.get_secret_value()}"


class Settings(BaseModel):
    """Where the server works and whom it talks to."""

    model_config = ConfigDict(frozen=True)

    workspace: Path
    allowed_dirs: tuple[Path, ...] = ()
    state_dir: Path
    cache_dir: Path
    api_url: str = NUMERAI_API_URL
    mcp_url: str = NUMERAI_MCP_URL
    transport: Literal["graphql", "mcp"] = "graphql"
    credentials: Credentials | None = None
    read_only: bool = False
    proxy_numerai: bool = False

    def require_credentials(self) -> Credentials:
        """The API key.

        Raises:
            CredentialsMissing: none is configured.
        """
        if self.credentials is None:
            raise CredentialsMissing(
                "No Numerai API key is configured.",
                evidence="Neither NUMERAI_MCP_AUTH nor NUMERAI_PUBLIC_ID with NUMERAI_SECRET_KEY is set.",
                next_step=f"Make a key with the scope upload_submission at {KEY_PAGE}, set NUMERAI_MCP_AUTH to "
                "PUBLIC$SECRET in the server's environment and restart the server. Never pass it to a tool.",
            )
        return self.credentials


def read_settings(
    environ: Mapping[str, str],
    *,
    workspace: Path,
    allowed_dirs: tuple[Path, ...] = (),
    read_only: bool = False,
    proxy_numerai: bool = False,
) -> Settings:
    """Settings from the environment variables that TOOLS and README name.

    Raises:
        InputError: a variable or folder is unusable.
    """
    # platformdirs costs start-up time only where it is called.
    from platformdirs import user_state_path

    transport = environ.get("NUMERAI_TRANSPORT", "graphql") or "graphql"
    if transport not in ("graphql", "mcp"):
        raise InputError(f"NUMERAI_TRANSPORT is {transport!r}.", next_step="Set it to graphql or mcp.")
    if not workspace.is_dir():
        raise InputError(f"The workspace {workspace} is not a folder.", next_step="Give an existing folder.")
    state = environ.get("NUMERAI_PICKLE_MCP_STATE")
    return Settings(
        workspace=workspace.resolve(),
        allowed_dirs=tuple(folder.resolve() for folder in allowed_dirs),
        state_dir=Path(state) if state else user_state_path("numerai-pickle-mcp"),
        cache_dir=cache_folder(environ),
        api_url=_url(environ, "NUMERAI_API_URL", NUMERAI_API_URL),
        mcp_url=_url(environ, "NUMERAI_MCP_URL", NUMERAI_MCP_URL),
        transport=transport,
        credentials=read_credentials(environ),
        read_only=read_only,
        proxy_numerai=proxy_numerai,
    )


def cache_folder(environ: Mapping[str, str]) -> Path:
    """Where venvs, pins and data are kept that can be had again."""
    from platformdirs import user_cache_path

    cache = environ.get("NUMERAI_PICKLE_MCP_CACHE")
    return Path(cache) if cache else user_cache_path("numerai-pickle-mcp")


def read_credentials(environ: Mapping[str, str]) -> Credentials | None:
    """The API key in any of the spellings in use; None where no variable is set.

    `Token ` before it, twice even (Numerai's own docs do that), quotes around it, and `\\$` for `$` are accepted.

    Raises:
        CredentialsMissing: a variable is set and does not hold PUBLIC$SECRET.
    """
    public, secret = _given(environ, "NUMERAI_PUBLIC_ID"), _given(environ, "NUMERAI_SECRET_KEY")
    raw, source = _given(environ, "NUMERAI_MCP_AUTH"), "NUMERAI_MCP_AUTH"
    if not raw and (public or secret):
        raw, source = f"{public}${secret}", "NUMERAI_PUBLIC_ID and NUMERAI_SECRET_KEY"
    if not raw:
        return None
    token = raw.strip("\"'").replace("\\$", "$").strip()
    while token[:6].lower() == "token ":
        token = token[6:].strip().strip("\"'")
    public, dollar, secret = token.partition("$")
    if not (public and dollar and secret) or any(c.isspace() for c in token):
        raise CredentialsMissing(
            f"{source} does not hold an API key.",
            evidence="A key reads PUBLIC$SECRET; a shell that expands $SECRET leaves only the first half.",
            next_step=f"Put the key in single quotes, or make a new one at {KEY_PAGE}.",
        )
    return Credentials(token=SecretStr(token), source=source)


def is_loopback(url: str) -> bool:
    """Whether the URL's host is this machine: the demo and the tests talk to nothing else."""
    return urlsplit(url).hostname in ("127.0.0.1", "localhost", "::1")


def without_numerai(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The environment less everything of Numerai's and all proxies, for the demo and the tests."""
    return {
        name: value
        for name, value in environ.items()
        if not name.upper().startswith("NUMERAI_") and not name.upper().endswith("_PROXY")
    }


def _given(environ: Mapping[str, str], name: str) -> str:
    value = environ.get(name, "").strip()
    # Where it is not set, a client passes the reference in its configuration on as it stands.
    return "" if value in (f"${{{name}}}", f"${{env:{name}}}") else value


def _url(environ: Mapping[str, str], name: str, default: str) -> str:
    url = environ.get(name) or default
    parts = urlsplit(url)
    if (parts.scheme == "https" and parts.hostname) or (parts.scheme == "http" and is_loopback(url)):
        return url
    raise InputError(f"{name} is not usable.", next_step="Give an https URL; http only for this machine (127.0.0.1).")
