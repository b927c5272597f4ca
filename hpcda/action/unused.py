"""Finds parameters, stimuli and other entries of a job that the model's equations do not contain."""

from __future__ import annotations

from hpcda.action.native import Equations


def unused(equations: Equations) -> tuple[str, ...]:
    """One sentence for every stimulus, series and estimated parameter on which nothing depends."""
    problem = equations.problem
    dimension, stimuli = problem.model.dimension, problem.model.stimulus_names
    traced = (equations.model, equations.observed, *(cost.share for cost in equations.costs))
    used = {one.graph.keys[node] for one in traced for node in one.graph.reach(one.values)}
    inputs = [
        *((("s", i), f"Stimulus {name} is given") for i, name in enumerate(stimuli)),
        *((("s", len(stimuli) + i), f"A series of {name} is given") for i, name in enumerate(problem.series)),
        *(
            (("v", dimension + i), f"Parameter {one.name} is estimated")
            for i, one in enumerate((*problem.varying, *problem.seen))
        ),
    ]
    return tuple(
        f"{what}, but neither the equations of {problem.model.name} nor the measured quantities contain it."
        for place, what in inputs
        if ("input", *place) not in used
    )
