"""Losses, one a module: what a datum adds to the action."""

from hpcda.action.losses import bernoulli, gaussian, huber, poisson, student_t
from hpcda.action.losses.loss import Loss

LOSSES: dict[str, Loss] = {
    module.LOSS.name: module.LOSS for module in (gaussian, student_t, huber, poisson, bernoulli)
}

__all__ = ["LOSSES", "Loss"]
