"""What is known of a pickle by its sha256: where it ran, on which data, with which outcome."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

Ran = Literal["image", "stand_in", "venv"]
Data = Literal["live", "file", "synthetic"]

KEPT_LINES = 500


class Proof(BaseModel):
    """One recorded run of a pickle."""

    model_config = ConfigDict(frozen=True)

    sha256: str
    image: str
    """The image's reference that the run stands for."""
    ran: Ran
    data: Data
    ok: bool
    failure: str | None
    seconds: float
    when: float

    @property
    def sentence(self) -> str:
        """The proof in words, for a question to the user."""
        where = {
            "image": f"in the image {self.image}",
            "stand_in": f"in a stand-in of {self.image}",
            "venv": f"in a venv that matches {self.image}, not in a container",
        }[self.ran]
        data = {"live": "live rows", "file": "rows of a given file", "synthetic": "synthetic rows"}[self.data]
        when = datetime.fromtimestamp(self.when, UTC).strftime("%Y-%m-%d %H:%M UTC")
        outcome = "ran" if self.ok else f"FAILED ({self.failure})"
        return f"this very file {outcome} {where} on {data}, {when}"


class Proofs:
    """The recorded runs, one JSON line each."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def record(self, proof: Proof) -> None:
        """Add a run; old lines beyond the last 500 are dropped."""
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        lines = self._path.read_text().splitlines() if self._path.is_file() else []
        aside = self._path.with_suffix(".tmp")
        aside.write_text("\n".join([*lines[-KEPT_LINES:], proof.model_dump_json()]) + "\n")
        aside.replace(self._path)

    def latest(self, sha256: str, image: str | None = None) -> Proof | None:
        """The newest run of these bytes, in that image where one is given."""
        if not self._path.is_file():
            return None
        for line in reversed(self._path.read_text().splitlines()):
            proof = Proof.model_validate_json(line)
            if proof.sha256 == sha256 and image in (None, proof.image):
                return proof
        return None

    def sentence(self, sha256: str, image: str) -> str:
        """What is proven of these bytes for that image, in words."""
        proof = self.latest(sha256, image) or self.latest(sha256)
        return proof.sentence if proof is not None else "this file was never tested in a container or venv"
