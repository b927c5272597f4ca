"""What a job gives or asks for that the equations of its model do not contain."""

from __future__ import annotations

from hpcda.action.native import Equations


def unused(equations: Equations) -> tuple[str, ...]:
    """One sentence for every stimulus, series and estimated parameter on which nothing depends."""
    problem, graph = equations.problem, equations.model.graph
    dimension, stimuli = problem.model.dimension, problem.model.stimulus_names
    used = {graph.keys[node] for node in graph.reach(equations.model.values)}
    inputs = [
        *((("s", i), f"Stimulus {name} is given") for i, name in enumerate(stimuli)),
        *((("s", len(stimuli) + i), f"A series of {name} is given") for i, name in enumerate(problem.series)),
        *(
            (("v", dimension + i), f"Parameter {one.name} is estimated")
            for i, one in enumerate((*problem.varying, *problem.seen))
        ),
    ]
    return tuple(
        f"{what}, but the equations of {problem.model.name} do not contain it."
        for place, what in inputs
        if ("input", *place) not in used
    )
