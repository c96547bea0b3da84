"""Colours as text, '#rrggbb' or with an opacity '#rrggbbaa'."""

import colorsys

from PIL.ImageColor import getrgb


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
