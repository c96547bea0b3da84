"""A small SVG sheet: colours, smooth curves, gradients and shapes, all of them text.

A colour is '#rrggbb' or with an opacity '#rrggbbaa'. `resvg <https://github.com/linebender/resvg>`_
turns a sheet into pixels.
"""

import colorsys
import io
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import resvg_py
from numpy.typing import ArrayLike, NDArray
from PIL import Image
from PIL.ImageColor import getrgb

Curve = NDArray[np.float64]  # n x 2 points (x, y), or one point
DOWN = np.array([0.0, 1.0])


def points(text: str) -> Curve:
    """Return the points that are written as in SVG: 'x,y x,y ...'."""
    return np.array([pair.split(",") for pair in text.split()], dtype=np.float64)


def mirrored(half: Curve) -> Curve:
    """Return a symmetric curve from the left end over the middle to the right `half`'s end."""
    left = half[::-1] * (-1, 1)
    return np.concatenate([left[: -1 if half[0, 0] == 0 else None], half])


def sides(half: Curve) -> list[Curve]:
    """Return one symmetric curve if the right `half` starts in the middle, otherwise two curves."""
    return [mirrored(half)] if half[0, 0] == 0 else [half * (-1, 1), half]


def smooth(curve: Curve, closed: bool = False) -> str:
    """Return path data of the Catmull-Rom spline through `curve`, as cubic Bezier pieces."""
    around = (curve[-1:], curve, curve[:2]) if closed else (curve[:1], curve, curve[-1:])
    near = np.concatenate(around)
    slopes = (near[2:] - near[:-2]) / 6
    pieces = np.hstack([near[1:-2] + slopes[:-1], near[2:-1] - slopes[1:], near[2:-1]])
    data = "".join("C" + ",".join(f"{value:.1f}" for value in piece) for piece in pieces)
    return f"M{curve[0, 0]:.1f},{curve[0, 1]:.1f}{data}{'z' if closed else ''}"


def ribbon(there: Curve, back: Curve) -> str:
    """Return a closed shape: smooth along `there`, then smooth along `back` in reverse."""
    return f"{smooth(there)}L{smooth(back[::-1])[1:]}z"


def mix(first: str, second: str, share: float) -> str:
    """Return the colour a `share` (0..1) of the way from `first` to `second`."""
    pairs = zip(getrgb(first), getrgb(second), strict=True)
    return "#" + "".join(f"{round(a + (b - a) * share):02x}" for a, b in pairs)


def turn(colour: str, hue: float, lightness: float = 1.0, saturation: float = 1.0) -> str:
    """Return `colour` with its hue turned by `hue` (1 is a full circle) and the rest scaled."""
    h, light, s = colorsys.rgb_to_hls(*(c / 255 for c in getrgb(colour)))
    rgb = colorsys.hls_to_rgb((h + hue) % 1.0, min(light * lightness, 1.0), min(s * saturation, 1))
    return "#" + "".join(f"{round(c * 255):02x}" for c in rgb)


def fade(colour: str, opacity: float) -> str:
    """Return '#rrggbb' with an opacity in 0..1, as '#rrggbbaa'."""
    return f"{colour}{round(255 * min(max(opacity, 0.0), 1.0)):02x}"


class Sheet:
    """SVG text under construction; coordinates are those of the caller's current group."""

    def __init__(self) -> None:
        """Start an empty sheet."""
        self._elements: list[str] = []

    def add(self, tag: str, inside: str = "", /, **attributes: object) -> str:
        """Add an element with an id of its own; return the reference to paint or clip with it."""
        name = f"e{len(self._elements)}"
        values = {k: f"{v:.2f}" if isinstance(v, float) else v for k, v in attributes.items()}
        text = "".join(f' {key.replace("_", "-")}="{value}"' for key, value in values.items())
        self._elements.append(f'<{tag} id="{name}"{text}>{inside}</{tag}>')
        return f"url(#{name})"

    @contextmanager
    def group(self, attribute: str, value: str) -> Iterator[None]:
        """Put what is drawn inside the `with` block into one group with this attribute."""
        self._elements.append(f'<g {attribute}="{value}">')
        yield
        self._elements.append("</g>")

    def linear(self, start: ArrayLike, end: ArrayLike, *colours: str) -> str:
        """Define a gradient of evenly spaced colours; return the reference to paint with it."""
        x1, y1, x2, y2 = np.concatenate([start, end]).tolist()
        return self._gradient("linearGradient", colours, x1=x1, y1=y1, x2=x2, y2=y2)

    def radial(self, centre: ArrayLike, radius: float, *colours: str, squash: float = 1.0) -> str:
        """Define a gradient from `centre` outwards, `squash` times as high as wide."""
        x, y = np.asarray(centre)
        place = f"translate({x:.1f} {y:.1f}) scale(1 {squash:.3f})"
        return self._gradient(
            "radialGradient", colours, r=radius, cx=0, cy=0, gradientTransform=place
        )

    def _gradient(self, tag: str, colours: tuple[str, ...], **where: str | float) -> str:
        stops = zip(np.linspace(0, 1, len(colours)), colours, strict=True)
        inside = "".join(f'<stop offset="{x:.2f}" stop-color="{colour}"/>' for x, colour in stops)
        return self.add(tag, inside, gradientUnits="userSpaceOnUse", **where)

    def path(self, data: str, fill: str = "none", **attributes: object) -> None:
        """Add a path."""
        self.add("path", d=data, fill=fill, **attributes)

    def line(self, curve: Curve, colour: str, width: float, opacity: float = 1.0) -> None:
        """Add a smooth stroke with round ends along `curve`."""
        stroke = fade(colour, opacity)
        self.path(smooth(curve), stroke=stroke, stroke_width=width, stroke_linecap="round")

    def ellipse(self, centre: ArrayLike, rx: float, ry: float, fill: str, turn: float = 0) -> None:
        """Add an ellipse with radii `rx` and `ry`, turned clockwise by `turn` degrees."""
        x, y = np.asarray(centre)
        place = f"translate({x:.2f} {y:.2f}) rotate({turn:.1f})"
        self.add("ellipse", rx=rx, ry=ry, fill=fill, transform=place)

    def glow(
        self, centre: ArrayLike, radius: float, colour: str, opacity: float, squash: float = 1.0
    ) -> None:
        """Add a soft spot that fades to nothing at `radius`."""
        fading = (fade(colour, opacity * share) for share in (1.0, 0.45, 0.0))
        paint = self.radial((0, 0), radius, *fading, squash=squash)
        self.ellipse(centre, radius, radius * squash, paint)

    def image(self, width: int, height: int) -> Image.Image:
        """Rasterise to RGBA; the sheet's coordinates run from 0 to 1000 from top to bottom."""
        size = f'width="{width}" height="{height}" viewBox="0 0 {1000 * width / height:.4f} 1000"'
        text = f'<svg xmlns="http://www.w3.org/2000/svg" {size}>{"".join(self._elements)}</svg>'
        data = resvg_py.svg_to_bytes(svg_string=text, skip_system_fonts=True)
        return Image.open(io.BytesIO(bytes(data))).convert("RGBA")
