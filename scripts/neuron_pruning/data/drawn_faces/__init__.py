"""Drawn faces in the layout and naming of SFEW, as data that may be published.

SFEW (Dhall, Goecke, Lucey & Gedeon, 2011, "Static facial expression analysis in tough conditions")
is licensed and cannot be given away. This package draws faces in its place: people of imagined
movies whose expressions combine facial action units, in seven class folders of PNG files.
"""

from neuron_pruning.data.drawn_faces.drawing import draw_face, write_faces
from neuron_pruning.data.drawn_faces.planning import (
    EXPRESSIONS,
    FacePlan,
    FacesSettings,
    plan_faces,
)

__all__ = ["EXPRESSIONS", "FacePlan", "FacesSettings", "draw_face", "plan_faces", "write_faces"]
