"""Pictures as SVG, in the page's own colours, so that they fit light and dark."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

WIDTH, HEIGHT = 420, 220
LEFT, RIGHT, TOP, BOTTOM = 44, 10, 10, 30


def histogram(counts: Sequence[int], low: float, high: float) -> str:
    """Bars of equal bins over [low, high]."""
    top = max([*counts, 1])
    width = (WIDTH - LEFT - RIGHT) / max(len(counts), 1)
    bars = "".join(
        f'<rect class="mark" x="{LEFT + i * width + 1:.1f}" y="{_y(count / top):.1f}" width="{max(width - 2, 1):.1f}" '
        f'height="{_y(0) - _y(count / top):.1f}"><title>{count:,}</title></rect>'
        for i, count in enumerate(counts)
    )
    return _svg(_axes(low, high, 0, top, whole=True) + bars, "Distribution of the predictions")


def scatter(points: Sequence[Sequence[float]]) -> str:
    """Pairs (x, y) with the diagonal on which equal values lie."""
    values = [value for point in points for value in point]
    low, high = (min(values), max(values)) if values else (0.0, 1.0)
    span = (high - low) or 1.0
    diagonal = f'<line class="rule" x1="{_x(0):.1f}" y1="{_y(0):.1f}" x2="{_x(1):.1f}" y2="{_y(1):.1f}"/>'
    dots = "".join(
        f'<circle class="mark" r="2.5" cx="{_x((x - low) / span):.1f}" cy="{_y((y - low) / span):.1f}"/>'
        for x, y in points
    )
    return _svg(_axes(low, high, low, high) + diagonal + dots, "The source's raw scores and the bundle's")


def bars(counts: Mapping[str, float]) -> str:
    """Names with a bar and a number each."""
    top = max([*counts.values(), 1])
    rows = "".join(
        f'<dt>{escape(name)}</dt><dd><div class="share">'
        f'<div class="plain" style="width:{100 * count / top:.1f}%"></div>'
        f"</div>{count:,.4g}</dd>"
        for name, count in counts.items()
    )
    return f'<dl class="bars">{rows}</dl>'


def share(used: float, limit: float, unit: str) -> str:
    """A bar of how much of a limit is used."""
    part = min(used / limit, 1.0)
    level = "bad" if part >= 1 else "warn" if part >= 0.7 else "good"
    return (
        f'<div class="share"><div class="{level}" style="width:{max(part * 100, 0.5):.1f}%"></div></div>'
        f'<p class="note">{used:,.3g} of {limit:,.0f} {unit} ({used / limit:.1%})</p>'
    )


def _x(part: float) -> float:
    return LEFT + part * (WIDTH - LEFT - RIGHT)


def _y(part: float) -> float:
    return TOP + (1 - part) * (HEIGHT - TOP - BOTTOM)


def _axes(x_low: float, x_high: float, y_low: float, y_high: float, *, whole: bool = False) -> str:
    parts = [f'<line class="axis" x1="{_x(0)}" y1="{_y(0)}" x2="{_x(1)}" y2="{_y(0)}"/>']
    for part in (0.0, 0.5, 1.0):
        x, y = x_low + part * (x_high - x_low), y_low + part * (y_high - y_low)
        anchor = "start" if part == 0 else "end" if part == 1 else "middle"
        parts.append(f'<text x="{_x(part)}" y="{HEIGHT - 10}" text-anchor="{anchor}">{x:.4g}</text>')
        parts.append(f'<line class="grid" x1="{_x(0)}" y1="{_y(part)}" x2="{_x(1)}" y2="{_y(part)}"/>')
        label = f"{y:,.0f}" if whole else f"{y:.3g}"
        parts.append(f'<text x="{LEFT - 6}" y="{_y(part) + 4}" text-anchor="end">{label}</text>')
    return "".join(parts)


def _svg(inner: str, label: str) -> str:
    return f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{label}">{inner}</svg>'
