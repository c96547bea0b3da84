from .any_network.fine_tuning import fine_tune
from .any_network.images import image_batches
from .any_network.preprocessing import Preprocessing
from .any_network.pruning import prune
from .any_network.result import PruningResult
from .any_network.saving import load_pruned
from .any_network.sources import open_network
from .any_network.unit_layers import find_unit_layers
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
    "Preprocessing",
    "PruningResult",
    "Removal",
    "Selection",
    "UnitLayer",
    "UserError",
    "build_network",
    "compensate",
    "describe_layer",
    "find_technique",
    "find_unit_layers",
    "fine_tune",
    "image_batches",
    "load_network",
    "load_pruned",
    "open_network",
    "pairwise_angles",
    "prune",
    "prune_layer",
    "recorded_activations",
    "save_network",
    "select_units",
    "techniques",
]
__version__: str
