import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from classify import classify
from neuron_pruning import UserError
from neuron_pruning.baselines.descriptors import write_features
from neuron_pruning.baselines.svm import (
    ClassifierSettings,
    UnitVariance,
    build_classifier,
    decision_values,
    describe_choice,
    divide_training,
    fit_classifier,
)
from neuron_pruning.core.parquet import read_rows, write_rows
from neuron_pruning.data.split_file import SPLIT_SCHEMA

ONE = ClassifierSettings(None, (1.0,), (1.0,))
SOME = ClassifierSettings(0.98, (0.1, 10.0), (0.5, 1.0), 3)


def clusters(classes=3, each=20, dimensions=6, apart=4.0, seed=0):
    """Features of classes around centres of their own, class numbers and single groups."""
    rng = np.random.default_rng(seed)
    numbers = np.repeat(np.arange(classes), each)
    centres = apart * np.eye(dimensions)[:classes]
    features = centres[numbers] + rng.normal(size=(classes * each, dimensions))
    return features, numbers, np.array([f"image {n}" for n in range(len(numbers))])


@pytest.mark.parametrize("classes", [2, 3, 5])
def test_classes_that_lie_apart_are_told_apart(classes):
    fitted = fit_classifier(*clusters(classes), SOME, seed=0)
    features, numbers, _ = clusters(classes, seed=1)
    values = decision_values(fitted, features, classes)
    assert values.shape == (len(numbers), classes)
    assert (values.argmax(axis=1) == numbers).mean() > 0.9


@pytest.mark.parametrize("classes", [2, 6])
def test_the_largest_decision_value_is_the_prediction_even_where_votes_tie(classes):
    features, numbers, groups = clusters(classes, each=50, apart=0.3)
    fitted = fit_classifier(features, numbers, groups, ONE, seed=0)
    values = decision_values(fitted, features, classes)
    np.testing.assert_array_equal(values.argmax(axis=1), fitted.predict(features))


@given(st.floats(0.01, 1000), st.integers(0, 5))
def test_a_gamma_of_one_is_what_scikit_learn_calls_scale(unit, seed):
    features, numbers, groups = clusters(apart=1, seed=seed)
    fitted = fit_classifier(unit * features, numbers, groups, ONE, seed=0)
    reference = make_pipeline(StandardScaler(), SVC(C=1.0, gamma="scale", break_ties=True))
    wanted = reference.fit(features, numbers).decision_function(features)
    np.testing.assert_allclose(decision_values(fitted, unit * features, 3), wanted, atol=1e-6)


@given(st.integers(0, 20))
def test_unit_variance(seed):
    features = 7 * clusters(seed=seed)[0]
    scaled = UnitVariance().fit_transform(features)
    assert scaled.var(axis=0).sum() == pytest.approx(1)
    np.testing.assert_allclose(scaled / scaled[0, 0], features / features[0, 0])
    assert not UnitVariance().fit_transform(np.zeros((4, 2))).any()


def test_the_search_takes_what_the_folds_prefer():
    features, numbers, groups = clusters(apart=2)
    hopeless = ClassifierSettings(None, (1e-6, 1.0), (1e6, 1.0), 3)
    choice = describe_choice(fit_classifier(features, numbers, groups, hopeless, 0))
    assert (choice["c"], choice["gamma"], choice["components"]) == (1.0, 1.0, 6)
    assert choice["fold_accuracy"] > 0.6
    assert "fold_accuracy" not in describe_choice(fit_classifier(features, numbers, groups, ONE, 0))


def test_components_keep_the_share_of_the_variance():
    rng = np.random.default_rng(0)
    features = rng.normal(size=(60, 2)) @ rng.normal(size=(2, 40))
    features += 1e-3 * rng.normal(size=features.shape)
    numbers = (features[:, 0] > 0).astype(int)
    fitted = fit_classifier(features, numbers, np.arange(60).astype(str), SOME, 0)
    assert describe_choice(fitted)["components"] == 2


@pytest.mark.filterwarnings("error")
def test_what_is_missing_is_the_mean_of_the_training_part():
    features, numbers, groups = clusters()
    features[5] = np.nan
    fitted = fit_classifier(features, numbers, groups, ONE, 0)
    mean = np.nanmean(features, axis=0)
    found = decision_values(fitted, np.stack([np.full(6, np.nan), mean]), 3)
    np.testing.assert_allclose(found[0], found[1])
    features[:, 2] = np.nan  # nothing to take a mean of
    assert np.isfinite(
        decision_values(fit_classifier(features, numbers, groups, ONE, 0), features, 3)
    ).all()


def test_a_class_without_training_images_is_never_predicted():
    features, numbers, groups = clusters(4)
    seen = numbers != 1
    for classes_seen in (seen, numbers % 2 == 1):
        rows = np.flatnonzero(classes_seen)
        fitted = fit_classifier(features[rows], numbers[rows], groups[rows], SOME, 0)
        values = decision_values(fitted, features, 4)
        absent = sorted(set(range(4)) - set(numbers[rows]))
        assert np.isneginf(values[:, absent]).all()
        right = values.argmax(axis=1)[rows] == numbers[rows]
        assert right.mean() > 0.9


groupings = st.lists(st.integers(0, 11), min_size=60, max_size=60).filter(lambda g: len(set(g)) > 5)


@given(groupings, st.integers(2, 6), st.integers(0, 100))
def test_no_group_is_in_two_folds_and_every_image_is_compared_once(groups, folds, seed):
    numbers, names = np.repeat([0, 1, 2], 20), np.array([f"g{n}" for n in groups])
    pairs = divide_training(numbers, names, folds, seed)
    for fit, compare in pairs:
        assert not set(names[fit]) & set(names[compare])
        assert len(fit) + len(compare) == 60
    tested = np.concatenate([compare for _, compare in pairs])
    assert len(set(tested)) == len(tested)


def test_folds_are_balanced_seeded_and_fewer_for_a_small_class():
    _, numbers, groups = clusters(each=20)
    pairs = divide_training(numbers, groups, 5, 0)
    assert [np.bincount(numbers[b]).tolist() for _, b in pairs] == [[4, 4, 4]] * 5
    again, other = (divide_training(numbers, groups, 5, seed) for seed in (0, 1))
    assert all(np.array_equal(a[1], b[1]) for a, b in zip(pairs, again, strict=True))
    assert any(not np.array_equal(a[1], b[1]) for a, b in zip(pairs, other, strict=True))
    few = np.r_[np.flatnonzero(numbers < 2), 40, 41, 42]
    assert len(divide_training(numbers[few], groups[few], 5, 0)) == 3


@pytest.mark.filterwarnings("error")
def test_a_class_of_one_image_still_allows_a_choice():
    features, numbers, groups = clusters(3)
    rows = np.arange(41)  # one image of the third class
    pairs = divide_training(numbers[rows], groups[rows], 5, 0)
    assert len(pairs) == 2
    fitted = fit_classifier(features[rows], numbers[rows], groups[rows], SOME, 0)
    assert np.isfinite(decision_values(fitted, features, 3)).all()


def test_choices_that_cannot_be_made():
    features, numbers, groups = clusters()
    one_group = np.full(60, "g")
    with pytest.raises(UserError, match=r"60 images in 1 group\(s\), too few to choose C"):
        fit_classifier(features, numbers, one_group, SOME, 0)
    fit_classifier(features, numbers, one_group, ONE, 0)  # nothing to choose
    with pytest.raises(UserError, match="too few to choose"):
        divide_training(np.arange(3), groups[:3], 5, 0)
    # One class in one movie: without it, nothing to tell the other from.
    with pytest.raises(UserError, match="too few to choose"):
        divide_training(np.array([0, 0, 1, 1]), np.array(["a", "a", "b", "b"]), 2, 0)
    with pytest.raises(UserError, match="one class alone"):
        fit_classifier(features[:20], numbers[:20], groups[:20], ONE, 0)


def test_a_choice_needs_folds():
    assert build_classifier(SOME, None)[-1].C == 0.1


SVM_SETTINGS = {"variance": 0.98, "c": [1.0, 8.0], "gamma": [0.5, 1.0], "folds": 3}
KEYS = {"experiment": "e", "baseline": "images", "split": "random", "crop": "face", "seed": 3}


@pytest.fixture
def stage(tmp_path):
    """Features and a split of 60 images of three classes, with a validation part."""
    features, numbers, _ = clusters()
    labels = ["Cat", "Dog", "Owl"]
    images = [f"{labels[n]}/{i:02}.png" for i, n in enumerate(numbers)]
    parts = ["test" if i % 5 == 0 else "validation" if i % 5 == 1 else "train" for i in range(60)]
    rows = [
        {"position": i, "image": image, "label": labels[n], "group": image, "part": part}
        for i, (image, n, part) in enumerate(zip(images, numbers, parts, strict=True))
    ]
    keys = {name: {"seed": 3}.get(name, "x") for name in SPLIT_SCHEMA.names}
    shared = {name: value for name, value in keys.items() if name not in rows[0]}
    write_rows(tmp_path / "split.parquet", rows, SPLIT_SCHEMA, shared)
    write_features(tmp_path / "features.parquet", images, features)
    return tmp_path


def run(folder, **changes):
    names = ("features", "split", "predictions", "metrics")
    files = {name: folder / f"{name}.parquet" for name in names}
    return classify(**{**files, "keys": KEYS, "svm": SVM_SETTINGS, **changes})


def test_the_rule_writes_predictions_and_figures_of_every_part(stage):
    mirrored = run(stage)
    predictions = read_rows(stage / "predictions.parquet")
    assert len(predictions) == 60
    assert predictions[7]["baseline"] == "images" and predictions[7]["seed"] == 3
    for row in predictions:
        values = {name: row[f"d_{name}"] for name in ("Cat", "Dog", "Owl")}
        assert row["predicted"] == max(values, key=values.get)
    test = [row for row in predictions if row["part"] == "test"]
    accuracy = np.mean([row["label"] == row["predicted"] for row in test])
    figures = {
        (r["part"], r["class"], r["metric"]): (r["value"], r["images"])
        for r in read_rows(stage / "metrics.parquet")
    }
    assert figures["test", "all", "accuracy"] == (accuracy, 12) and len(test) == 12
    assert figures["validation", "Cat", "recall"][1] == 12
    assert ("test", "Owl", "specificity") in figures and figures["train", "all", "c"][0] in (1, 8)
    assert mirrored.metrics["test_accuracy"] == accuracy > 0.8


def test_test_and_validation_images_do_not_touch_the_classifier(stage):
    run(stage)
    before = read_rows(stage / "predictions.parquet")
    features, *_ = clusters()
    training = np.array([row["part"] == "train" for row in before])
    features[~training] = 1e3 * np.random.default_rng(1).normal(size=(features[~training].shape))
    write_features(stage / "features.parquet", [row["image"] for row in before], features)
    run(stage)
    after = read_rows(stage / "predictions.parquet")
    assert [r for r in before if r["part"] == "train"] == [r for r in after if r["part"] == "train"]
    assert before != after


def test_features_of_other_images(stage):
    write_features(stage / "features.parquet", ["Cat/00.png"], [np.zeros(6)])
    with pytest.raises(UserError, match=r"features.parquet and .*split.parquet hold other images"):
        run(stage)


def test_published_figures(pytestconfig):
    text = (pytestconfig.rootpath / "resources/baseline.yaml").read_text(encoding="utf-8")
    published = yaml.safe_load(text)
    assert published["accuracy"] == 0.19 and published["protocol"] == "SPI"
    assert list(published["precision"]) == sorted(published["precision"])
    assert list(published["precision"].values()) == [0.17, 0.15, 0.20, 0.28, 0.22, 0.16, 0.15]
    assert list(published["recall"].values()) == [0.21, 0.13, 0.18, 0.29, 0.21, 0.16, 0.12]
