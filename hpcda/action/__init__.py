"""The action: measurement error plus model error, with exact sparse derivatives."""

from hpcda.action.action import Action, Parts
from hpcda.action.discretizations import SCHEMES
from hpcda.action.factors import Factors
from hpcda.action.graph import GraphAction
from hpcda.action.unused import unused
from hpcda.action.verify import Verification, verify

__all__ = ["SCHEMES", "Action", "Factors", "GraphAction", "Parts", "Verification", "unused", "verify"]
