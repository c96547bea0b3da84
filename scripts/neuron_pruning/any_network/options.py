"""What a user may ask for: how much is removed, and how. Loads without torch.

The defaults of :func:`neuron_pruning.prune` and of the command line stand here.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from numbers import Real
from typing import Any, Literal, get_args

from neuron_pruning.core.errors import UserError
from neuron_pruning.pruning.redundancy import check_angle
from neuron_pruning.pruning.techniques import REGISTRY, find_technique
from neuron_pruning.pruning.techniques.technique import Technique

SOURCES = (
    "package.module:factory, torchvision/<name>, timm/<name>, a folder that Hugging Face's "
    "save_pretrained wrote, or a network.safetensors that this workflow trained"
)
HELD_OUT = 0.25  # ASSUME: share of the images that judges, where no other images are given
RANDOM_DRAWS = 5

NetworkCompensation = Literal[
    "auto", "none", "bias", "add", "scaled", "affine", "lstsq", "lstsq_patches", "ridge", "fold"
]
LEAST_SQUARES = ("auto", "lstsq", "lstsq_patches")
BatchNormRule = Literal["reestimate", "rescale", "keep"]
Order = Literal["sequential", "parallel"]
Across = Literal["layers", "network"]
Cost = Literal["macs", "parameters", "latency_ms"]


def _number(name: str, value: object) -> float:
    """A number of any kind, as JSON has it."""
    if not isinstance(value, Real):
        raise UserError(f"{name} is a number; not {value!r}")
    return float(value)


def _numbers(name: str, values: object) -> dict[str, float]:
    """Numbers by name."""
    if not isinstance(values, Mapping):
        raise UserError(f"{name} is a mapping of names to numbers; not {values!r}")
    return {key: _number(f"{name}[{key!r}]", value) for key, value in values.items()}


@dataclass(frozen=True)
class Goal:
    """How much is removed: one of ``amount angle layers budget``, or ``max_loss`` alone.

    Attributes:
        amount: of every layer: a share below 1 or a number of units.
        angle: in degrees, for techniques that decide by it themselves how many units go, as the
            paper's ``distinctiveness`` does.
        layers: amounts by layer; angles for techniques that take one.
        budget: one of ``macs`` and ``parameters``, as a share of the whole network's, or
            ``latency_ms`` of one image.
        max_loss: points of accuracy (agreement, without labels) that the network may lose, with
            95 % confidence. With a budget: the cut ends earlier where it would lose more.
        across: ``layers``: the amount holds for each; ``network``: units of all layers are ranked
            together.
        coupled: whether units that several layers write are removed too, as along residual
            streams, and attention heads.
        round_to: what the number of kept units is a multiple of.
    """

    amount: float | None = None
    angle: float | None = None
    layers: Mapping[str, float] | None = None
    budget: Mapping[str, float] | None = None
    max_loss: float | None = None
    across: Across = "layers"
    coupled: bool = False
    round_to: int = 1

    def __post_init__(self) -> None:
        self._read_numbers()
        given = [n for n in ("amount", "angle", "layers", "budget") if getattr(self, n) is not None]
        if len(given) > 1 or not (given or self.max_loss is not None):
            raise UserError(
                "say how much to remove by one of amount=0.5, angle=15, layers={'name': 0.5}, "
                f"budget={{'macs': 0.5}} and max_loss=1.0; given: {', '.join(given) or 'nothing'}"
            )
        if self.max_loss is not None and given and given != ["budget"]:
            raise UserError(f"max_loss goes with a budget or alone, not with {given[0]}")
        if self.max_loss is not None and not self.max_loss >= 0.0:
            raise UserError(f"max_loss is a number of points, 0 or more; not {self.max_loss}")
        if self.budget is not None:
            check_budget(self.budget)
        if self.round_to < 1:
            raise UserError(f"round_to must be 1 or more, not {self.round_to}")
        _check_choice("across", self.across, Across)
        ranked = self.amount is not None and 0.0 <= self.amount < 1.0
        if self.across == "network" and not ranked:
            raise UserError(
                "across='network' ranks the units of all layers together: give amount as a share "
                "of them, below 1"
            )

    def _read_numbers(self) -> None:
        """Make floats of all that are numbers, so that a plan can hold them."""
        for names, read in (("amount angle max_loss", _number), ("layers budget", _numbers)):
            for name in names.split():
                if getattr(self, name) is not None:
                    object.__setattr__(self, name, read(name, getattr(self, name)))

    def check_technique(self, technique: Technique) -> None:
        """Refuse, with a UserError, a goal in which a technique cannot be asked."""
        name, by_angle = technique.name, technique.amount == "angle"
        if by_angle and self.angle is None and self.layers is None:
            raise UserError(
                f"{name} takes an angle, and decides by it how many units go: give angle=15 "
                "(degrees), angles by layer, or another technique"
            )
        if by_angle and self.round_to > 1:
            raise UserError(f"{name} decides how many units go: leave out round_to")
        if self.angle is not None:
            if not by_angle:
                others = [other for other, known in REGISTRY.items() if known.amount == "angle"]
                raise UserError(
                    f"{name} takes no angle: give amount=0.5, or a technique that takes one: "
                    f"{', '.join(others)}"
                )
            check_angle(self.angle)


def check_budget(budget: Mapping[str, float]) -> tuple[Cost, float]:
    """The one cost that a budget names, and its limit.

    Raises:
        UserError: another number of costs, an unknown one, or a limit out of range.
    """
    if len(budget) != 1:
        raise UserError(f"a budget names one of {', '.join(get_args(Cost))}; not {dict(budget)}")
    ((name, limit),) = budget.items()
    if name not in get_args(Cost):
        raise UserError(f"budget {name!r} is unknown; known: {', '.join(get_args(Cost))}")
    if not limit > 0.0 or (name != "latency_ms" and limit > 1.0):
        raise UserError(
            f"budget {name}={limit:g}: give a share above 0, at most 1, or milliseconds"
        )
    return name, float(limit)  # type: ignore[return-value]


@dataclass(frozen=True)
class Method:
    """A pruning method: how units are chosen, and what the rest gets.

    Attributes:
        technique: a name of ``techniques()``.
        settings: of the technique.
        compensation: ``none bias add scaled affine lstsq lstsq_patches ridge fold``, or ``auto``:
            ``lstsq_patches`` where a kernel sees at most 2,304 values, else ``lstsq``.
        batch_norm: ``reestimate`` measures the statistics again after the cut; ``rescale`` gives
            the normalisation behind a consumer the variance that least squares leave of its
            outputs (of Linears, 1x1 convolutions and where they fit patches); ``keep`` leaves
            them.
        order: ``sequential``: each layer is measured behind the cuts in front of it;
            ``parallel``: all in the unpruned network, in one pass.
        seed: of what is drawn.
    """

    technique: str = "l1"
    settings: Mapping[str, Any] = field(default_factory=dict)
    compensation: str = "auto"
    batch_norm: BatchNormRule = "reestimate"
    order: Order = "parallel"
    seed: int = 0

    def __post_init__(self) -> None:
        for name, kind in (
            ("compensation", NetworkCompensation), ("batch_norm", BatchNormRule), ("order", Order),
        ):  # fmt: skip
            _check_choice(name, getattr(self, name), kind)
        self.chosen.check_settings(self.settings)
        reason = refusal(self.chosen, self.compensation)
        if reason is not None:
            raise UserError(reason)

    @property
    def chosen(self) -> Technique:
        """The technique itself."""
        return find_technique(self.technique)

    def randomly(self, seed: int) -> "Method":
        """The same for units removed at random."""
        given = control_compensation(self.compensation)
        return replace(self, technique="random", settings={}, compensation=given, seed=seed)


def control_compensation(compensation: str) -> str:
    """What units removed at random get, to be set beside others with a compensation.

    ASSUME: units removed at random have no merge target. Where the compensation needs one, their
    means go to the bias, as those of units with a constant effect do.
    """
    return "bias" if refusal(find_technique("random"), compensation) else compensation


def _check_choice(name: str, value: object, kind: Any) -> None:
    options = get_args(kind)
    if value not in options:
        raise UserError(f"{name} must be one of {', '.join(options)}; not {value!r}")


def refusal(technique: Technique, compensation: str) -> str | None:
    """Why a technique's removals cannot have a compensation; None where they can."""
    return technique.refusal("lstsq" if compensation in LEAST_SQUARES else compensation)
