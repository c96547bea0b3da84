"""Every technique by its name. A new one is a file beside this and a line below."""

from neuron_pruning.core.errors import UserError
from neuron_pruning.pruning.techniques import (
    apoz,
    auxiliary,
    badness,
    contribution,
    distinctiveness,
    folding,
    fpgm,
    measured,
    mozer_smolensky,
    noiseout,
    norms,
    obd,
    pelillo_fanelli,
    random_removal,
    sietsma_dow,
    srinivas_babu,
    taylor,
    thinet,
    variance,
)
from neuron_pruning.pruning.techniques.technique import (
    Technique,
    by_angle,
    by_count,
    by_order,
    by_score,
)

PEERS = ("magnitude", "taylor", "hessian", "fpgm", "lamp")

REGISTRY: dict[str, Technique] = {
    technique.name: technique
    for technique in (
        by_angle(distinctiveness.distinctiveness),
        by_angle(distinctiveness.distinctiveness_weights),
        by_angle(distinctiveness.distinctiveness_literal, "none", partners=False),
        by_order(random_removal.random),
        by_score(obd.obd_unit),
        by_score(obd.obd_weight),
        by_order(sietsma_dow.sietsma_dow, "add", partners=True),
        by_order(sietsma_dow.sietsma_dow_2),
        by_score(mozer_smolensky.relevance),
        by_score(mozer_smolensky.ablation),
        by_score(contribution.contribution),
        by_score(measured.karnin),
        by_score(badness.badness, largest=True),
        by_count(auxiliary.auxiliary, "fitted", fitted=True),
        by_order(pelillo_fanelli.pelillo_fanelli, "lstsq"),
        by_order(pelillo_fanelli.pelillo_fanelli_residual, "lstsq"),
        by_score(norms.l1),
        by_score(norms.l2),
        by_score(taylor.taylor),
        by_score(taylor.taylor_squared),
        by_score(fpgm.fpgm),
        by_score(apoz.apoz, largest=True),
        by_score(variance.variance, "bias"),
        by_order(srinivas_babu.srinivas_babu, "add", partners=True),
        by_order(thinet.thinet),
        by_order(noiseout.noiseout, "affine", partners=True),
        by_count(folding.folding, "fold", partners=True),
        *(by_score(measured.torch_pruning(importance)) for importance in PEERS),
    )
}


def techniques() -> list[str]:
    """Names of all techniques."""
    return list(REGISTRY)


def find_technique(name: str) -> Technique:
    """Technique of that name.

    Args:
        name: one of :func:`techniques`.

    Raises:
        UserError: there is none; the message lists those there are.
    """
    if name not in REGISTRY:
        raise UserError(f"no technique {name!r}; known: {', '.join(REGISTRY)}")
    return REGISTRY[name]
