"""A small SVG sheet: colours, smooth curves, gradients and shapes written as text.

Only text is made here; `resvg <https://github.com/linebender/resvg>`_ turns it into pixels.
"""

from __future__ import annotations

import colorsys
import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import resvg_py
from PIL import Image

Point = tuple[float, float]
Stop = tuple[float, str, float]
"""One gradient stop: offset in 0..1, colour '#rrggbb', opacity in 0..1."""


def channels(colour: str) -> tuple[int, int, int]:
    """Return the red, green and blue (0..255) of '#rrggbb'."""
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


def mix(first: str, second: str, share: float) -> str:
    """Return the colour a `share` (0..1) of the way from `first` to `second`."""
    pairs = zip(channels(first), channels(second), strict=True)
    return "#" + "".join(f"{round(a + (b - a) * share):02x}" for a, b in pairs)


def turn(colour: str, hue: float, lightness: float = 1.0, saturation: float = 1.0) -> str:
    """Return `colour` with its hue turned by `hue` (1 is a full circle) and the rest scaled."""
    h, light, s = colorsys.rgb_to_hls(*(c / 255 for c in channels(colour)))
    rgb = colorsys.hls_to_rgb((h + hue) % 1.0, min(light * lightness, 1.0), min(s * saturation, 1))
    return "#" + "".join(f"{round(c * 255):02x}" for c in rgb)


def between(first: Sequence[Point], second: Sequence[Point], share: float) -> list[Point]:
    """Return the curve a `share` of the way from one curve to another of equal length."""
    pairs = zip(first, second, strict=True)
    return [(a[0] + (b[0] - a[0]) * share, a[1] + (b[1] - a[1]) * share) for a, b in pairs]


def smooth(points: Sequence[Point], closed: bool = False) -> str:
    """Return path data of the Catmull-Rom spline through `points`, as cubic Bezier pieces."""
    n = len(points)
    pieces = [f"M{points[0][0]:.1f},{points[0][1]:.1f}"]
    for i in range(n if closed else n - 1):
        if closed:
            p0, p1, p2, p3 = (points[(i + k) % n] for k in (-1, 0, 1, 2))
        else:
            p0, p1, p2, p3 = (points[min(max(i + k, 0), n - 1)] for k in (-1, 0, 1, 2))
        pieces.append(
            f"C{p1[0] + (p2[0] - p0[0]) / 6:.1f},{p1[1] + (p2[1] - p0[1]) / 6:.1f} "
            f"{p2[0] - (p3[0] - p1[0]) / 6:.1f},{p2[1] - (p3[1] - p1[1]) / 6:.1f} "
            f"{p2[0]:.1f},{p2[1]:.1f}"
        )
    return "".join(pieces) + ("z" if closed else "")


def ribbon(there: Sequence[Point], back: Sequence[Point]) -> str:
    """Return a closed shape: smooth along `there`, then smooth along `back` in reverse."""
    return smooth(there) + "L" + smooth(list(reversed(back)))[1:] + "z"


def _attributes(attributes: dict[str, object]) -> str:
    return "".join(
        f' {name.replace("_", "-")}="{value:.3g}"'
        if isinstance(value, float)
        else f' {name.replace("_", "-")}="{value}"'
        for name, value in attributes.items()
    )


class Sheet:
    """SVG text under construction; coordinates are those of the caller's current group."""

    def __init__(self) -> None:
        """Start an empty sheet."""
        self._definitions: list[str] = []
        self._shapes: list[str] = []

    def _define(self, tag: str, attributes: str, inside: str) -> str:
        name = f"d{len(self._definitions)}"
        self._definitions.append(f'<{tag} id="{name}"{attributes}>{inside}</{tag}>')
        return f"url(#{name})"

    @staticmethod
    def _stops(stops: Sequence[Stop]) -> str:
        return "".join(
            f'<stop offset="{o:.3g}" stop-color="{c}" stop-opacity="{a:.3g}"/>' for o, c, a in stops
        )

    def linear(self, start: Point, end: Point, *stops: Stop) -> str:
        """Define a gradient from `start` to `end`; return its paint reference."""
        where = (
            f' gradientUnits="userSpaceOnUse" x1="{start[0]:.1f}" y1="{start[1]:.1f}"'
            f' x2="{end[0]:.1f}" y2="{end[1]:.1f}"'
        )
        return self._define("linearGradient", where, self._stops(stops))

    def radial(self, centre: Point, radius: float, *stops: Stop, squash: float = 1.0) -> str:
        """Define a round gradient, `squash` times as high as wide; return its paint reference."""
        where = (
            f' gradientUnits="userSpaceOnUse" cx="0" cy="0" r="{max(radius, 0.1):.1f}"'
            f' gradientTransform="translate({centre[0]:.1f} {centre[1]:.1f}) scale(1 {squash:.3g})"'
        )
        return self._define("radialGradient", where, self._stops(stops))

    def clip(self, data: str) -> str:
        """Define a clipping shape from path data; return its reference."""
        return self._define("clipPath", "", f'<path d="{data}"/>')

    def path(self, data: str, fill: str = "none", **attributes: object) -> None:
        """Add a path."""
        self._shapes.append(f'<path d="{data}" fill="{fill}"{_attributes(attributes)}/>')

    def line(
        self, points: Sequence[Point], colour: str, width: float, opacity: float = 1.0
    ) -> None:
        """Add a smooth stroke with round ends through `points`."""
        self.path(
            smooth(points), stroke=colour, stroke_width=float(width),
            stroke_opacity=float(opacity), stroke_linecap="round",
        )  # fmt: skip

    def ellipse(self, centre: Point, rx: float, ry: float, fill: str, **attributes: object) -> None:
        """Add an ellipse with radii `rx` and `ry`."""
        self._shapes.append(
            f'<ellipse cx="{centre[0]:.1f}" cy="{centre[1]:.1f}" rx="{max(rx, 0.1):.1f}"'
            f' ry="{max(ry, 0.1):.1f}" fill="{fill}"{_attributes(attributes)}/>'
        )

    def glow(
        self, centre: Point, radius: float, colour: str, opacity: float, squash: float = 1.0
    ) -> None:
        """Add a soft spot that fades to nothing at `radius`."""
        paint = self.radial(
            centre, radius, (0, colour, opacity), (0.5, colour, opacity * 0.45), (1, colour, 0),
            squash=squash,
        )  # fmt: skip
        self.ellipse(centre, radius, radius * squash, paint)

    def rect(
        self, x: float, y: float, width: float, height: float, fill: str, **attributes: object
    ) -> None:
        """Add a rectangle."""
        self._shapes.append(
            f'<rect x="{x:.1f}" y="{y:.1f}" width="{max(width, 0.1):.1f}"'
            f' height="{max(height, 0.1):.1f}" fill="{fill}"{_attributes(attributes)}/>'
        )

    @contextmanager
    def group(self, **attributes: object) -> Iterator[None]:
        """Put what is drawn inside the `with` block into one group with these attributes."""
        self._shapes.append(f"<g{_attributes(attributes)}>")
        yield
        self._shapes.append("</g>")

    def image(self, width: int, height: int) -> Image.Image:
        """Rasterise to RGBA; the sheet's coordinates run from 0 to 1000 from top to bottom."""
        text = (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}"'
            f' viewBox="0 0 {1000 * width / height:.4f} 1000">'
            f"<defs>{''.join(self._definitions)}</defs>{''.join(self._shapes)}</svg>"
        )
        data = resvg_py.svg_to_bytes(svg_string=text, skip_system_fonts=True)
        return Image.open(io.BytesIO(bytes(data))).convert("RGBA")
