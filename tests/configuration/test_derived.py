from neuron_pruning import techniques
from neuron_pruning.configuration.derived import (
    compared_labels,
    cut_layers,
    technique_choices,
    tried_on_test,
)


def test_every_technique_has_its_authors_choice_and_labels_their_own():
    choices = technique_choices({"techniques": {"mine": {"technique": "apoz"}}})
    assert set(techniques()) < set(choices)
    assert choices["mine"]["settings"] == {"epsilon": 0.05}
    assert choices["noiseout"]["compensation"] == "affine"
    named = {"techniques": {"mine": {"technique": "apoz", "settings": {"epsilon": 0.2}}}}
    assert technique_choices(named)["mine"]["settings"] == {"epsilon": 0.2}


def test_random_removal_is_always_compared():
    assert compared_labels({"techniques": {}, "techniques_compared": ["l2"]}) == ["l2", "random"]
    assert set(compared_labels({"techniques": {}, "techniques_compared": "all"})) == set(
        techniques()
    )


def test_layers_of_a_cut_go_from_the_input_side():
    model = {"widths": [8, 4], "pruned_layer": "fc2"}
    for given, wanted in (
        ("pruned", ["fc2"]),
        ("hidden", ["fc1", "fc2"]),
        ("convolutions", ["conv1", "conv2"]),
        ("all", ["conv1", "conv2", "fc1", "fc2"]),
        (["fc2", "conv2"], ["conv2", "fc2"]),
    ):
        assert cut_layers(model, {"layers": given}, 2) == wanted


def test_settings_that_the_test_images_chose_among():
    grid = {"learning_rates": [0.1, 0.2], "batch_sizes": [8, 16]}
    config = {"run_models": ["a", "b"], "models": {"a": grid, "b": grid}}
    selection = {"subset": "test", "fixed": {"b": {}}}
    assert tried_on_test({**config, "selection": selection}) == {"a": 4, "b": 1}
    selection = {"subset": "validation", "fixed": {}}
    assert tried_on_test({**config, "selection": selection}) == {"a": 1, "b": 1}
