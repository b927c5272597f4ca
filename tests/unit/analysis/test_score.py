"""How networks do on pairs: against scikit-learn, SciPy, and values by hand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from hpcda.action.factors import DataLoss
from hpcda.action.losses import LOSSES
from hpcda.analysis.score import score, shares
from tests.chance import generator


def test_categories_are_scored_as_scikit_learn_does():
    metrics = pytest.importorskip("sklearn.metrics")
    rng = generator(140)
    logits, truth = rng.normal(size=(200, 4)) * 2.0, rng.integers(0, 4, 200)
    outputs = np.eye(4)[truth]
    found = score(logits, outputs, DataLoss(LOSSES["softmax"]), outputs)
    chance = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    chosen = logits.argmax(axis=1)
    assert found.loss == pytest.approx(metrics.log_loss(truth, chance, labels=range(4)), rel=1e-9)
    assert found.accuracy == pytest.approx(metrics.accuracy_score(truth, chosen))
    assert [list(row) for row in found.confusion] == metrics.confusion_matrix(truth, chosen).tolist()
    share = np.bincount(truth, minlength=4) / 200
    assert found.constant == pytest.approx(-np.mean(np.log(share[truth])), rel=1e-9)
    sure = chance.max(axis=1)
    assert sum(count for *_, count in found.reliability) == 200
    for mean, right, count in found.reliability:
        own = np.minimum((sure * 10).astype(int), 9) == np.minimum(int(mean * 10), 9)
        assert count == own.sum() and right == pytest.approx(np.mean((chosen == truth)[own]))
    worse = score(-5.0 * logits, outputs, DataLoss(LOSSES["softmax"]), outputs)
    assert worse.excess == np.inf and (found.excess is None) == (found.loss <= found.constant)


def test_gaussian_outputs_with_gaps_and_a_noise_each():
    rng = generator(141)
    outputs, found = rng.normal(size=(50, 2)), rng.normal(size=(50, 2))
    outputs[:5, 0] = np.nan
    std = np.array([0.5, 2.0])
    one = score(found, outputs, std, outputs)
    away = ((found - outputs) / std)[np.isfinite(outputs)]
    assert one.loss == pytest.approx(0.5 * np.mean(away**2)) and one.excess == pytest.approx(
        np.sqrt(np.mean(away**2))
    )
    assert one.rmse == pytest.approx(np.sqrt(np.nanmean((found - outputs) ** 2)))
    usual = ((np.nanmean(outputs, axis=0) - outputs) / std)[np.isfinite(outputs)]
    assert one.constant == pytest.approx(0.5 * np.mean(usual**2))


@pytest.mark.parametrize("name", ["poisson", "bernoulli"])
def test_other_noise(name):
    """Shares are the log-likelihood below that of the value that explains a datum best."""
    rng = generator(142)
    loss = DataLoss(LOSSES[name])
    if name == "poisson":
        found = rng.uniform(0.5, 5.0, (60, 1))
        outputs = rng.poisson(found).astype(float)
        likelihood, best = stats.poisson.logpmf(outputs, found), stats.poisson.logpmf(outputs, outputs)
        usual = np.full_like(found, outputs.mean())
    else:
        found = rng.normal(size=(60, 1))
        outputs = (rng.random((60, 1)) < 0.5).astype(float)
        chance = 1.0 / (1.0 + np.exp(-found))
        likelihood, best = stats.bernoulli.logpmf(outputs, chance), np.zeros_like(found)
        usual = np.full_like(found, np.log(outputs.mean() / (1.0 - outputs.mean())))
    wanted = (best - likelihood).ravel()
    np.testing.assert_allclose(shares(found, outputs, loss), wanted, rtol=1e-9, atol=1e-12)
    one = score(found, outputs, loss, outputs)
    assert one.loss == pytest.approx(wanted.mean()) and one.rmse is None
    assert one.constant == pytest.approx(float(shares(usual, outputs, loss).mean()), rel=1e-9)
