import numpy as np

from neuron_pruning.training.optimisers import build_optimiser
from neuron_pruning.training.schedules import build_schedule
from neuron_pruning.training.settings import OptimiserSettings, TrainingSettings


def test_warm_up_and_cosine(small_vgg):
    optimiser = build_optimiser(small_vgg, 0.1, OptimiserSettings())
    chosen = OptimiserSettings(warmup_steps=1, schedule="cosine")
    settings = TrainingSettings(0.1, batch_size=5, seed=3, epochs=2, optimiser=chosen)
    schedule = build_schedule(optimiser, settings, images=9)
    seen = []
    for _ in range(5):
        seen.append(optimiser.param_groups[0]["lr"])
        optimiser.step()
        schedule.step()
    np.testing.assert_allclose(seen, [0.05, 0.1, 0.075, 0.025, 0.0], atol=1e-9)
