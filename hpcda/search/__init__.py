"""The search for the lowest minimum: starting strategies, escapes, and the judge."""

from hpcda.search.auto import Auto, Budget, expected, searched
from hpcda.search.begin import begin
from hpcda.search.conclusion import Conclusion, conclude
from hpcda.search.context import SearchContext
from hpcda.search.escapes import ESCAPES, Escape
from hpcda.search.evidence import Evidence, Level
from hpcda.search.merge import Merger, Sketch
from hpcda.search.plan import Found, Listed, Plain, Plan, Round, Share
from hpcda.search.ways import WAYS, Way, at_once

__all__ = [
    "ESCAPES",
    "WAYS",
    "Auto",
    "Budget",
    "Conclusion",
    "Escape",
    "Evidence",
    "Found",
    "Level",
    "Listed",
    "Merger",
    "Plain",
    "Plan",
    "Round",
    "SearchContext",
    "Share",
    "Sketch",
    "Way",
    "at_once",
    "begin",
    "conclude",
    "expected",
    "searched",
]
