"""The baseline of SFEW: principal components of descriptors, and a support vector machine.

Dhall, Goecke, Lucey and Gedeon, "Static facial expression analysis in tough conditions: data,
evaluation protocol and benchmark", ICCV Workshops 2011.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.decomposition import PCA
from sklearn.impute import SimpleImputer
from sklearn.model_selection import GridSearchCV, StratifiedGroupKFold
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from neuron_pruning.core.errors import UserError
from neuron_pruning.core.seeds import derive_seed

Real = NDArray[np.float64]
Integers = NDArray[np.int64]
Folds = list[tuple[Integers, Integers]]


@dataclass(frozen=True)
class ClassifierSettings:
    """The support vector machine and what is searched for it.

    Values of gamma are multiples of 1 / total variance, which scikit-learn calls ``scale``.
    """

    variance: float | None = 0.98  # that the principal components keep; None: no components
    c: Sequence[float] = (0.5, 2.0, 8.0, 32.0)  # values to try of the penalty C
    gamma: Sequence[float] = (0.125, 0.25, 0.5, 1.0, 2.0)  # and of the kernel's gamma
    folds: int = 5  # of the training part, over which the values are compared


class UnitVariance(TransformerMixin, BaseEstimator):
    """Divides by the root of the total variance: a gamma then means the same for any features."""

    def fit(self, features: Real, classes: Integers | None = None) -> "UnitVariance":
        """Take the total variance of ``features``, N x D."""
        self.scale_ = float(np.sqrt(features.var(axis=0).sum())) or 1.0
        return self

    def transform(self, features: Real) -> Real:
        """Features in units of that root, N x D."""
        return features / self.scale_


def build_classifier(settings: ClassifierSettings, folds: Folds | None) -> Pipeline:
    """Impute, standardise, reduce, and classify with a radial basis function kernel.

    ASSUME: what is missing is the mean of the training part. Every feature is standardised
    before the components are taken, and nothing after it, which [2] leaves open. The components
    are those of the whole training part; its folds serve the choice of C and gamma alone, as in
    LIBSVM's tools. Where classes get the same votes the decision values decide.

    ``folds`` are rows of the training part to fit and to compare on; None: the first C and gamma.
    """
    svm: SVC | GridSearchCV = SVC(C=settings.c[0], gamma=settings.gamma[0], break_ties=True)
    if folds is not None:
        grid = {"C": list(settings.c), "gamma": list(settings.gamma)}
        svm = GridSearchCV(svm, grid, cv=folds)
    reduce = PCA(settings.variance, svd_solver="full") if settings.variance else "passthrough"
    impute = SimpleImputer(keep_empty_features=True)
    return make_pipeline(impute, StandardScaler(), reduce, UnitVariance(), svm)


def fit_classifier(
    features: Real,
    classes: Integers,
    groups: NDArray[np.str_],
    settings: ClassifierSettings,
    seed: int,
) -> Pipeline:
    """Classifier of the training part, with the C and gamma that its folds prefer.

    Args:
        features: of the training part, N x D; not a number where they are missing.
        classes: N class numbers.
        groups: N names of what stays in one fold.
        settings: what to build and to search.
        seed: of the folds.

    Raises:
        UserError: one class alone, or a choice is asked for that folds cannot make.
    """
    if len(np.unique(classes)) < 2:
        raise UserError(
            "baseline: the training part holds one class alone, and nothing to tell it from; "
            "change the split"
        )
    search = len(settings.c) * len(settings.gamma) > 1
    folds = divide_training(classes, groups, settings.folds, seed) if search else None
    return build_classifier(settings, folds).fit(features, classes)


def divide_training(classes: Integers, groups: NDArray[np.str_], folds: int, seed: int) -> Folds:
    """Folds of the training part, balanced by class, no group in two of them.

    There are fewer folds where a class has fewer groups, two at least; one that would leave a
    single class to learn from is left out.

    Returns:
        Rows to fit and rows to compare on, of each fold.

    Raises:
        UserError: no fold is possible.
    """
    fewest = min(len(np.unique(groups[classes == number])) for number in np.unique(classes))
    count, held = min(folds, max(fewest, 2)), len(np.unique(groups))
    usable: Folds = []
    if max(np.bincount(classes)) >= count and held >= count:
        random_state = derive_seed(seed, "baseline folds") % 2**32
        splitter = StratifiedGroupKFold(count, shuffle=True, random_state=random_state)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "The least populated class")  # is taken care of
            pairs = splitter.split(classes, classes, groups)
            usable = [(a, b) for a, b in pairs if len(b) and len(np.unique(classes[a])) > 1]
    if not usable:
        raise UserError(
            f"baseline.svm: the training part has {len(classes)} images in {held} group(s), too "
            "few to choose C and gamma on folds of it; give one value of each, or use another split"
        )
    return usable


def decision_values(classifier: Pipeline, features: Real, classes: int) -> Real:
    """Decision value of each class, N x classes; the largest is that of the prediction.

    A class that the training part lacks gets minus infinity.
    """
    found = classifier.decision_function(features)
    if found.ndim == 1:  # two classes: the margin of the second
        found = np.stack([-found, found], axis=1)
    values = np.full((len(features), classes), -np.inf)
    values[:, classifier.classes_] = found
    return values


def describe_choice(classifier: Pipeline) -> dict[str, float]:
    """C, gamma, number of features after the reduction and, where searched, accuracy on folds."""
    svm = classifier[-1]
    chosen = {}
    if isinstance(svm, GridSearchCV):
        chosen["fold_accuracy"] = float(svm.best_score_)
        svm = svm.best_estimator_
    return {**chosen, "c": svm.C, "gamma": svm.gamma, "components": svm.n_features_in_}
