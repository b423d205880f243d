"""One-page reports of a build and of a run: a single HTML file that needs no network."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from server.reports.charts import bars, histogram, scatter, share

if TYPE_CHECKING:
    from bundle_core.reports import Finding
    from server.builds.build import Built
    from server.runs.debug import Debugged

STYLE = (Path(__file__).parent / "page.css").read_text(encoding="utf-8")
SECONDS, MEGABYTES = 600.0, 4096.0


def build_page(built: Built) -> str:
    """The report of build_pickle."""
    check, pack = built.check, built.pack
    parity = built.convert.parity if built.convert else None
    facts = {
        "Made by": f"Python {pack.python_version}",
        "For": built.venv.image.reference,
        "Size": f"{pack.size_bytes:,} bytes",
        "SHA-256": pack.sha256,
        "Ran on": f"{check.rows:,} {check.data} rows",
        "Imports": ", ".join(pack.imports),
    }
    cards = [
        _card("What it holds", _lines(pack.description.lines if pack.description else ["A script's own predict."])),
        _card("The file", _facts(facts)),
        _card("Predictions", histogram(check.histogram, 0, 1)),
    ]
    if parity is not None:
        picture = scatter(parity.points) if parity.points else ""
        cards.append(_card(f"Parity: {parity.status.replace('_', ' ')}", picture + _note(parity.reason)))
    cards.append(_card("Limits, at 6,500 rows", _limits(check.predict_seconds, check.peak_memory_mb)))
    findings = [*check.contract, *(built.script.findings if built.script else [])]
    cards.append(_card("Numerai's rules", _findings(findings)))
    if pack.description is not None and pack.description.most_used:
        cards.append(
            _card(f"Features: {pack.description.features:,}, most used first", bars(pack.description.most_used))
        )
    return _page(built.pickle_path.name, "Build", cards)


def run_page(run: Debugged) -> str:
    """The report of run_container_debug."""
    report = run.report
    facts = {
        "Ran in": report.environment + (" (a stand-in)" if report.stand_in else ""),
        "Stands for": run.image.reference,
        "On": run.data.words,
        "Exit code": "ended for time" if report.exit_code is None else str(report.exit_code),
        "Image digest": report.image_digest or "none",
    }
    outcome = "Works" if run.diagnosis is None else "Fails"
    cards = [
        _card(
            outcome, _lines([run.diagnosis.cause, run.diagnosis.next_step] if run.diagnosis else [run.proof.sentence])
        )
    ]
    cards.append(_card("Where", _facts(facts)))
    if run.verdict is not None:
        cards.append(_card(f"Predictions: {run.verdict.rows:,}", histogram(run.verdict.histogram, 0, 1)))
        cards.append(_card("Numerai's rules", _findings(run.verdict.contract)))
    limits = (run.limits.timeout_seconds, float(run.limits.memory_mb))
    cards.append(_card("Limits", _limits(report.seconds, report.peak_memory_mb, *limits)))
    return _page(run.pickle.name, "Run", cards)


def _limits(
    seconds: float | None, megabytes: float | None, most_seconds: float = SECONDS, most_megabytes: float = MEGABYTES
) -> str:
    time = share(seconds, most_seconds, "s") if seconds is not None else _note("Time not measured.")
    memory = share(megabytes, most_megabytes, "MB") if megabytes is not None else _note("Memory not measured.")
    return f"<h3>Time</h3>{time}<h3>Memory</h3>{memory}"


def _findings(findings: Iterable[Finding]) -> str:
    items = [
        f"<li><b>{escape(finding.cause)}</b> {escape(finding.evidence)}<br>{escape(finding.next_step)}</li>"
        for finding in findings
    ]
    return f"<ul>{''.join(items)}</ul>" if items else _note("Keeps all rules of predict.py and of the submission.")


def _facts(facts: Mapping[str, str]) -> str:
    rows = "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in facts.items())
    return f"<dl>{rows}</dl>"


def _lines(lines: Iterable[str]) -> str:
    return "".join(f"<p>{escape(line)}</p>" for line in lines)


def _note(text: str) -> str:
    return f'<p class="note">{escape(text)}</p>'


def _card(title: str, inner: str) -> str:
    return f"<section><h2>{escape(title)}</h2>{inner}</section>"


def _page(name: str, kind: str, cards: Iterable[str]) -> str:
    policy = "default-src 'none'; style-src 'unsafe-inline'"
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{kind}: {escape(name)}</title><style>{STYLE}</style></head>"
        f"<body><header><p>{kind}</p><h1>{escape(name)}</h1></header><main>{''.join(cards)}</main></body></html>\n"
    )
