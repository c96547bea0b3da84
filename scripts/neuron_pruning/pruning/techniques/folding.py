"""Model folding: clusters of units with like incoming weights (Wang et al. 2025)."""

import numpy as np

from neuron_pruning.core.errors import UserError
from neuron_pruning.core.seeds import derive_seed
from neuron_pruning.pruning.selection import Removal, Selection
from neuron_pruning.pruning.techniques.technique import SelectAtAmount, by_count, whole_count
from neuron_pruning.pruning.units import UnitLayer


@by_count(needs="weights", compensation="fold", merges=True)
def folding(layer: UnitLayer, *, restarts: int = 2) -> SelectAtAmount:
    """k-means on incoming weights and bias; of every cluster the lowest index stays.

    Where units are equal k-means finds fewer clusters; then the first removals are taken.
    """
    if restarts < 1:
        raise UserError(f"folding needs one start of k-means at least, not {restarts}")
    vectors = np.column_stack([layer.incoming.weight, layer.incoming.bias])
    if vectors.shape[1] > len(vectors):
        # Rotated into their own span: the same distances, in H dimensions rather than D.
        vectors = np.asarray(np.linalg.qr(vectors.T, mode="r")).T
    seed = derive_seed(layer.seed, "folding") % 2**32

    def select_at(amount: float) -> Selection:
        from sklearn.cluster import KMeans

        clusters = layer.units - whole_count(amount, layer.units)
        found = KMeans(clusters, n_init=restarts, random_state=seed).fit_predict(vectors)
        merge_targets: dict[int, int] = {}
        removals = []
        for unit, cluster in enumerate(found.tolist()):
            merge_target = merge_targets.setdefault(cluster, unit)
            if merge_target != unit:
                removals.append(Removal(unit, "similar", merge_target))
        return Selection(layer.units, tuple(removals[: layer.units - clusters]))

    return select_at
