"""The head's shape in space and its skin: outline, ears, light and shade.

Head coordinates: 100 units are half the head's width; x to the right, y down, z towards the
camera; the origin lies between the eyes and the chin is near y = 132.
"""

from collections.abc import Mapping
from math import cos, sin

import numpy as np
from numpy.typing import ArrayLike

from neuron_pruning.data.drawn_faces.colours import fade, mix, turn
from neuron_pruning.data.drawn_faces.planning import FacePlan
from neuron_pruning.data.drawn_faces.svg import Curve, Sheet, mirrored, points, smooth

ALWAYS, AGE = 0, 100  # among the numbers of action units: 1 everywhere, and the person's age


class Head:
    """A head turned in space, with its action units and its colours under the movie's light."""

    def __init__(self, plan: FacePlan) -> None:
        """Take all of it from a plan."""
        self.person, look, view = plan.person, plan.look, plan.view
        self.units = {**plan.units, ALWAYS: 1.0, AGE: plan.person.age}
        self.yaw, self.pitch = view["yaw"], view["pitch"]
        self.side = 1 if look.light + view["light"] >= 0 else -1  # that the light comes from
        self.base = base = mix(self.person.skin, look.light_colour, 0.08)
        self.light = mix(base, mix("#fff6e8", look.light_colour, 0.4), 0.45)
        self.shade = mix(turn(base, -0.012, 0.77, 0.82), look.shadow_tint, 0.18)
        self.deep = mix(turn(base, -0.03, 0.45), "#3a1424", 0.35)
        self.line = mix(self.deep, "#1c0c12", 0.35)
        self.blush = mix(base, "#d8463c", 0.45)
        self.lip = mix(turn(base, -0.04, 0.78, 1.1), "#a8323e", 0.22 + 0.4 * self.person.makeup)

    def au(self, number: int) -> float:
        """Return the strength of one action unit, 0 to 1.3."""
        return min(max(self.units.get(number, 0.0), 0.0), 1.3)

    def blend(self, weights: Mapping[int, float]) -> float:
        """Return the weighted sum of some action units, not below 0."""
        return max(0.0, sum(weight * self.au(unit) for unit, weight in weights.items()))

    @property
    def jaw_drop(self) -> float:
        """How far the chin is lowered, in head units (AU26 jaw drop, AU27 mouth stretch)."""
        return 13.0 * self.au(26) + 24.0 * self.au(27)

    def at(self, place: ArrayLike, lift: ArrayLike = 0.0, depth: ArrayLike | None = None) -> Curve:
        """Project points of the face onto the picture plane, after yaw and pitch.

        Args:
            place: One point (x, y) or n x 2 points of the face seen from the front.
            lift: Height above the face's surface, which is taken as an ellipsoid.
            depth: If given, the z to use instead of the surface's.
        """
        x, y = np.asarray(place, dtype=np.float64).T
        surface = 82 * np.sqrt(np.maximum(0.03, 1 - (x / 106) ** 2 - (y / 165) ** 2))
        z = surface + lift if depth is None else np.asarray(depth)
        x, y = x * self.person.shape["width"], y * self.person.shape["length"]
        forward = z * cos(self.yaw) - x * sin(self.yaw)
        across = x * cos(self.yaw) + z * sin(self.yaw)
        return np.stack([across, y * cos(self.pitch) - forward * sin(self.pitch)], axis=-1)

    def outline(self) -> Curve:
        """Return the outline of skull and face from the crown over the left ear; 9 is the chin."""
        drop, jaw, chin = self.jaw_drop, self.person.shape["jaw"], self.person.shape["chin"]
        half = points("0,134 20,131 49,117 79,84 93,44 98,2 100,-45 88,-97 54,-130 0,-140")
        half[:5, 0] *= 1, chin, chin * (0.4 + 0.6 * jaw), jaw, 0.6 + 0.4 * jaw
        half[:4, 1] += drop * np.array([1, 1, 0.9, 0.4])
        half[3:5, 0] += self.blend({6: 3.0, 12: 2.0})  # raised cheeks widen the face a little
        whole = mirrored(half)[:-1]
        return self.at(whole, depth=np.maximum(0, 3 + 0.32 * whole[:, 1]))


def draw_skin(sheet: Sheet, head: Head) -> None:
    """Draw the ears, fill the face and model it with light from one side."""
    lit = head.side
    for side in (-1, 1):
        ear = head.at((side * 99, 8), depth=-14)
        sheet.ellipse(ear, 13, 25, mix(head.shade, head.base, 0.6 + 0.3 * side * lit), 8 * side)
        sheet.glow(ear, 14, head.deep, 0.45, 1.4)
    data = smooth(head.outline(), closed=True)
    colours = mix(head.base, head.light, 0.45), head.base, head.base, head.shade
    sheet.path(data, sheet.linear((lit * 110, -70), (-lit * 115, 60), *colours))
    rim = [fade(head.deep, opacity) for opacity in (0.0, 0.0, 0.06, 0.42)]
    sheet.path(data, sheet.radial(head.at((lit * 14, 4)), 150, *rim, squash=1.2))
    edge = fade(head.light, 0.32), fade(head.light, 0)
    sheet.path(data, sheet.linear((-lit * 104, 0), (-lit * 74, 0), *edge))
    sheet.glow(head.at((lit * 22, -78)), 60, head.light, 0.42, 0.62)
    sheet.glow(head.at((lit * 54, 24)), 24, head.light, 0.26, 0.6)
    sheet.glow(head.at((lit * 4, 117 + head.jaw_drop)), 20, head.light, 0.3, 0.7)
