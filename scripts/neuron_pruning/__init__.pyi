from .core.errors import UserError
from .models.architectures import Architecture
from .models.networks import Network, build_network, load_network, save_network
from .pruning.angles import pairwise_angles
from .pruning.compensations import compensate
from .pruning.network_source import recorded_activations
from .pruning.redundancy import select_units
from .pruning.selection import Removal, Selection
from .pruning.surgery import prune_layer
from .pruning.techniques import find_technique, techniques
from .pruning.units import Layer, UnitLayer, describe_layer

__all__ = [
    "Architecture",
    "Layer",
    "Network",
    "Removal",
    "Selection",
    "UnitLayer",
    "UserError",
    "build_network",
    "compensate",
    "describe_layer",
    "find_technique",
    "load_network",
    "pairwise_angles",
    "prune_layer",
    "recorded_activations",
    "save_network",
    "select_units",
    "techniques",
]
__version__: str
