"""Charts of a report as SVG, which need no scripts and follow its colours."""

import html
from collections.abc import Callable, Mapping, Sequence
from math import isfinite
from typing import Any

import numpy as np
from torch import Tensor

_STEEP = 10  # times as large is the largest value of a curve that is drawn in logarithms


def escaped(text: object) -> str:
    """Any text from data as HTML; bytes that are no text become question marks."""
    return html.escape(str(text).encode("utf-8", "replace").decode("utf-8"))


def curves(rows: Sequence[Mapping[str, Any]]) -> str:
    """The losses over the epochs, and each metric."""
    lines = dict[str, list[tuple[float, float]]]()
    for number, row in enumerate(rows, 1):
        for name, value in row.items():
            if name not in {"epoch", "seconds"} and value is not None and isfinite(value):
                lines.setdefault(name, []).append((number, value))
    losses = {name: line for name, line in lines.items() if name.endswith("_loss")}
    charts = [losses, *({name: lines[name]} for name in lines if name not in losses)]
    return f'<div class="charts">{"".join(_chart(c) for c in charts if c)}</div>' if rows else ""


def _chart(lines: Mapping[str, Sequence[tuple[float, float]]]) -> str:
    """Lines over epochs as SVG, with a key below."""
    points = [point for line in lines.values() for point in line]
    low, high = min(p[1] for p in points), max(p[1] for p in points)
    steep = low > 0 and high > _STEEP * low  # one first epoch would flatten all others
    x, level = _scale([p[0] for p in points], 58, 470), np.log if steep else float
    scale, ticks = (
        _scale([level(low), level(high)], 210, 14),
        np.geomspace if steep else np.linspace,
    )

    def y(value: float) -> float:
        return scale(level(value))

    marks = "".join(
        f'<line x1="58" x2="470" y1="{y(v):.1f}" y2="{y(v):.1f}"/>'
        f'<text x="52" y="{y(v) + 4:.1f}" text-anchor="end">{v:.3g}</text>'
        for v in ticks(low, high, 4)
    )
    last = max(p[0] for p in points)
    marks += "".join(
        f'<text x="{x(v):.1f}" y="232" text-anchor="middle">{v:.0f}</text>'
        for v in sorted({1, round((1 + last) / 2), last})
    )
    paths = [" ".join(f"{x(a):.1f},{y(b):.1f}" for a, b in line) for line in lines.values()]
    drawn = "".join(f'<polyline class="l{i % 4}" points="{path}"/>' for i, path in enumerate(paths))
    key = "".join(
        f'<span><svg viewBox="0 0 32 8" aria-hidden="true"><polyline class="l{i % 4}" '
        f'points="0,4 32,4"/></svg> {escaped(name)}: {line[-1][1]:.3g}</span>'
        for i, (name, line) in enumerate(lines.items())
    )
    label = escaped(", ".join(lines) + " over the epochs" + " (logarithmic)" * steep)
    chart = f'<svg viewBox="0 0 480 240" role="img" aria-label="{label}">{marks}{drawn}</svg>'
    return f'<div><p class="soft">{label}</p>{chart}<div class="key">{key}</div></div>'


def _scale(values: Sequence[float], first: float, last: float) -> Callable[[float], float]:
    low, high = min(values), max(values)
    return lambda v: first + (last - first) * ((v - low) / (high - low) if high > low else 0.5)


def scatter(predicted: Tensor, actual: Tensor, names: Sequence[str]) -> str:
    """Predicted over actual (n, k), a chart for each of the first numbers."""
    charts = []
    for column, name in enumerate(names[:4]):
        pairs = [*zip(actual[:, column].tolist(), predicted[:, column].tolist(), strict=True)][
            :2000
        ]
        both = [v for pair in pairs for v in pair]
        x, y = _scale(both, 20, 460), _scale(both, 460, 20)
        dots = "".join(f'<circle cx="{x(a):.1f}" cy="{y(b):.1f}" r="4"/>' for a, b in pairs)
        line = '<line x1="20" y1="460" x2="460" y2="20"/>'
        label = escaped(f"{name}: actual to the right, predicted upwards")
        drawn = f'<svg viewBox="0 0 480 480" role="img" aria-label="{label}">{line}{dots}</svg>'
        charts.append(f"<div>{drawn}<p>{label}, {min(both):.3g} to {max(both):.3g}</p></div>")
    return f'<div class="charts">{"".join(charts)}</div>'
