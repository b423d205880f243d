"""A build's report as one HTML page that opens without network: pictures are SVG inside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

LIMIT_SECONDS = 600.0
LIMIT_MB = 4096.0
_WIDTH, _HEIGHT = 460, 220

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; color: #1b2530 }
h1 { font-size: 1.4rem } h2 { font-size: 1.05rem; margin: 0 0 .4rem }
section { display: inline-block; vertical-align: top; width: 480px; margin: .8rem 1rem .8rem 0 }
table { border-collapse: collapse } td { padding: .1rem .8rem .1rem 0 } td:first-child { color: #5a6b7a }
svg { background: #f5f7f9; border-radius: 4px } text { font-size: 11px; fill: #5a6b7a }
.bar { fill: #2f7d6d } .mark { fill: #2f7d6d; fill-opacity: .5 } .bad { color: #b3261e } code { word-break: break-all }
"""


def render(report: Mapping[str, Any]) -> str:
    """The page of a report: its keys `pack` and `check`, and `convert` or `script`, as in `bundle_core.reports`."""
    pack, check = report["pack"], report["check"]
    description = pack.get("description") or {}
    parts = [_facts(report), _section("Predictions", _histogram(check["histogram"]))]
    parts.append(_section("Against the limits", _limits(check)))
    if "convert" in report:
        parity = report["convert"]["parity"]
        parts.append(_section(f"Parity: {parity['status']}", _scatter(parity["points"]) + _paragraph(parity["reason"])))
    if description.get("most_used"):
        parts.append(_section("Most used features", _bars(description["most_used"])))
    title = escape(str(report.get("pickle", "model.pkl")))
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f"<style>{_STYLE}</style></head><body><h1>{title}</h1>\n" + "\n".join(parts) + "\n</body></html>\n"
    )


def _facts(report: Mapping[str, Any]) -> str:
    pack, check = report["pack"], report["check"]
    rows = {
        "sha256": pack["sha256"],
        "size": f"{pack['size_bytes'] / 2**20:.2f} MiB",
        "Python": pack["python_version"],
        "image": report.get("image", ""),
        "imports": ", ".join(pack["imports"]),
        "checked on": f"{check['rows']:,} {check['data']} rows",
    }
    cells = "".join(f"<tr><td>{escape(name)}<td><code>{escape(str(value))}</code>" for name, value in rows.items())
    lines = "".join(_paragraph(line) for line in (pack.get("description") or {}).get("lines", []))
    findings = [*check["contract"], *report.get("script", {}).get("findings", [])]
    problems = "".join(f'<p class="bad">{escape(item["cause"])}: {escape(item["evidence"])}</p>' for item in findings)
    return f"<table>{cells}</table>{lines}{problems or _paragraph('The contract holds: no finding.')}"


def _histogram(counts: Sequence[int]) -> str:
    if not counts:
        return _paragraph("No predictions.")
    top, width = max(counts) or 1, (_WIDTH - 20) / len(counts)
    bars = "".join(
        f'<rect class="bar" x="{10 + i * width:.1f}" y="{200 - 180 * count / top:.1f}" width="{width - 2:.1f}" '
        f'height="{180 * count / top:.1f}"><title>{count}</title></rect>'
        for i, count in enumerate(counts)
    )
    return _svg(bars + _text(10, 214, "0") + _text(_WIDTH - 16, 214, "1"))


def _scatter(points: Sequence[Sequence[float]]) -> str:
    if not points:
        return ""
    values = [value for point in points for value in point]
    low, spread = min(values), (max(values) - min(values)) or 1.0
    marks = "".join(
        f'<circle class="mark" r="3" cx="{15 + (_WIDTH - 30) * (x - low) / spread:.1f}" '
        f'cy="{_HEIGHT - 15 - (_HEIGHT - 30) * (y - low) / spread:.1f}"/>'
        for x, y in points
    )
    return _svg(marks + _text(_WIDTH - 70, 214, "the library") + _text(10, 14, "the bundle"))


def _limits(check: Mapping[str, Any]) -> str:
    drawn: list[str] = []
    figures = (
        ("time", check["predict_seconds"], LIMIT_SECONDS, "s"),
        ("memory", check["peak_memory_mb"], LIMIT_MB, "MB"),
    )
    for i, (name, value, limit, unit) in enumerate(figures):
        y = 30 + 80 * i
        if value is None:
            drawn.append(_text(10, y, f"{name}: not measured"))
            continue
        share = min(value / limit, 1.0)
        drawn.append(_text(10, y, f"{name}: {value:.3g} {unit} of {limit:g} {unit} ({value / limit:.1%})"))
        drawn.append(f'<rect x="10" y="{y + 8}" width="{_WIDTH - 20}" height="22" fill="#dde3e8"/>')
        drawn.append(f'<rect class="bar" x="10" y="{y + 8}" width="{(_WIDTH - 20) * share:.1f}" height="22"/>')
    return _svg("".join(drawn)) + _paragraph(f"At {check['timed_rows']:,} rows on one thread.")


def _bars(counts: Mapping[str, int]) -> str:
    top = max(counts.values())
    rows = "".join(
        f'<tr><td>{escape(name)}<td><svg width="{160 * count / top:.0f}" height="10">'
        f'<rect class="bar" width="100%" height="10"/></svg> {count:,}'
        for name, count in counts.items()
    )
    return f"<table>{rows}</table>"


def _section(title: str, content: str) -> str:
    return f"<section><h2>{escape(title)}</h2>{content}</section>"


def _paragraph(text: str) -> str:
    return f"<p>{escape(text)}</p>"


def _svg(content: str) -> str:
    return f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}" height="{_HEIGHT}" role="img">{content}</svg>'


def _text(x: float, y: float, content: str) -> str:
    return f'<text x="{x}" y="{y}">{escape(content)}</text>'
