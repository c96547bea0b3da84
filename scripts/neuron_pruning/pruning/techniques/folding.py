"""Model folding: clusters of units with like incoming weights (Wang et al. 2025)."""

import numpy as np

from neuron_pruning.core.errors import UserError
from neuron_pruning.core.seeds import derive_seed
from neuron_pruning.pruning.selection import Removal, Selection
from neuron_pruning.pruning.techniques.technique import Prepared, whole_count
from neuron_pruning.pruning.units import Layer


def folding(layer: Layer, *, restarts: int = 2) -> Prepared:
    """k-means on incoming weights and bias; of every cluster the lowest index stays.

    Where units are equal k-means finds fewer clusters; of what goes then, the first so many go.
    """
    if restarts < 1:
        raise UserError(f"folding needs one start of k-means at least, not {restarts}")
    vectors = np.column_stack([layer.into.weight, layer.into.bias])
    # Rotated into their own span: the same distances, in H dimensions rather than D.
    vectors = (
        np.asarray(np.linalg.qr(vectors.T, mode="r")).T
        if vectors.shape[1] > len(vectors)
        else vectors
    )
    seed = derive_seed(layer.seed, "folding") % 2**32

    def at(amount: float) -> Selection:
        from sklearn.cluster import KMeans

        clusters = layer.units - whole_count(amount, layer.units)
        found = KMeans(clusters, n_init=restarts, random_state=seed).fit_predict(vectors)
        heirs: dict[int, int] = {}
        removals = []
        for unit, cluster in enumerate(found.tolist()):
            heir = heirs.setdefault(cluster, unit)
            if heir != unit:
                removals.append(Removal(unit, "similar", heir))
        return Selection(layer.units, tuple(removals[: layer.units - clusters]))

    return at
