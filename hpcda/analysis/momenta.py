"""Momenta and energy of a kept path, labeled, and what the report says of them.

What they are is said in `hpcda.mechanics.motion` and `hpcda.mechanics.energy`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hpcda.errors import CompilerError, InputError
from hpcda.formatting import counted
from hpcda.mechanics import Energy, MomentaUnknownError, Motion, energy, motion
from hpcda.problem import Array

if TYPE_CHECKING:
    import xarray as xr

    from hpcda.analysis.rundata import Result

SIDES = ("arriving", "leaving")
NAMED = 3
"""States of the largest momentum that are named."""
BALANCED = 1e-2
"""Part of the largest momentum that may be left of the equations of motion at a minimum."""


@dataclass(frozen=True)
class Moved:
    """A kept path with its momenta.

    Attributes:
        path: The path, flat, shape (size,).
        rf: Its Rf.
        motion: Its momenta.
        energies: Its energy, window after window; None of a map.
    """

    path: Array
    rf: float
    motion: Motion
    energies: tuple[Energy, ...] | None


def moved(run: Result, start: int, rung: int | None = None) -> Moved:
    """The momenta of a kept path.

    Raises:
        KeyError: It was not kept.
        InputError: The problem cannot be made again.
        CompilerError: There is no C compiler.
        MomentaUnknownError: The multipliers of a path at Rf = ∞ do not follow from it.
    """
    place = run.file.path_places(start, rung)
    rf = float(run.file.header.rf[int(run.file.path_rung[place])])
    path, action = run.problem.join(*run.file.path(start, rung)), run._about.action
    found = motion(action, path, rf)
    energies = None if run.file.header.model_kind == "map" else energy(action, path, rf, found)
    return Moved(path, rf, found, energies)


def inverse_unit(unit: str) -> str:
    """One over a unit: the action has none."""
    return "1" if unit in ("", "1") else f"1/({unit})" if any(sign in unit for sign in " */") else f"1/{unit}"


def momentum_dataset(run: Result, found: Moved, window: int | None) -> xr.Dataset:
    """The momenta as `Answer.momentum_of` gives them."""
    import xarray as xr

    header, problem = run.file.header, run.problem
    own = found.motion.windows
    parts = {
        "momentum": [one.middle for one in own],
        "arriving": [one.arriving for one in own],
        "leaving": [one.leaving for one in own],
        "kick": [one.kick for one in own],
        "residual": [one.residual for one in own],
    }
    dims, coords, chosen = _times(run, window)
    data: dict[str, Any] = {
        name: ((*dims, "state"), _stacked(values, chosen)) for name, values in parts.items()
    }
    coords["state"] = list(header.state)
    coords["unit"] = ("state", [inverse_unit(unit) for unit in header.state_unit])
    if header.parameter:
        data["parameter_residual"] = ("parameter", found.motion.gradient[problem.layout.tail])
        coords["parameter"] = list(header.parameter)
    attrs = {"rf": found.rf, "multipliers": found.motion.source, "imbalance": found.motion.imbalance}
    return xr.Dataset(data, coords, attrs)


def energy_dataset(run: Result, found: Moved, window: int | None) -> xr.Dataset:
    """The energy as `Answer.energy_of` gives it.

    Raises:
        ValueError: The model is a map.
    """
    import xarray as xr

    if found.energies is None:
        raise ValueError(f"{run.file.header.model} is a map: its time has no steps, so that it has no energy")
    dims, coords, chosen = _times(run, window)
    units = {"units": inverse_unit(run.file.header.time_unit)}
    parts = {
        "energy": [one.middle for one in found.energies],
        **{side: [getattr(one, side) for one in found.energies] for side in SIDES},
    }
    data = {name: (dims, _stacked(values, chosen), units) for name, values in parts.items()}
    return xr.Dataset(data, coords, {"rf": found.rf})


def _times(run: Result, window: int | None) -> tuple[tuple[str, ...], dict[str, Any], list[int]]:
    """Dimensions and coordinates of times, and the windows that are shown."""
    units = {"units": run.file.header.time_unit}
    if window is None and len(run.windows) > 1:
        chosen = list(range(len(run.windows)))
        times = _stacked([stored.t for stored in run.windows], chosen)
        return ("window", "time"), {"window": chosen, "t": (("window", "time"), times, units)}, chosen
    number = window or 0
    run._known_window(number)
    return ("time",), {"time": ("time", run.windows[number].t, units)}, [number]


def _stacked(values: Sequence[Array], chosen: Sequence[int]) -> Array:
    """Of one window its values; of several all, shorter ones filled up with NaN."""
    if len(chosen) == 1:
        return values[chosen[0]]
    most = max(len(values[number]) for number in chosen)
    found = np.full((len(chosen), most, *values[0].shape[1:]), np.nan)
    for row, number in enumerate(chosen):
        found[row, : len(values[number])] = values[number]
    return found


def momentum_record(run: Result) -> dict[str, Any] | None:
    """What the momenta of the candidate are, as plain values; None, with a note, where they are not known.

    Keys: source, imbalance, held (unknowns at a bound), momentum and kick (state -> largest size, the
    largest first relative to the state's spread), energy (largest size, largest change between two times),
    the last None of a map.
    """
    if run.candidate is None or not run.candidate.has_path:
        return None
    try:
        found = run._moved(run.candidate.start)
    except (InputError, CompilerError, MomentaUnknownError) as error:
        run._note(f"no momenta: {str(error).splitlines()[0]}")
        return None
    own, names = found.motion.windows, run.file.header.state
    largest = np.max([np.abs(one.middle).max(axis=0) for one in own], axis=0)
    kicks = np.max([np.abs(one.kick).max(axis=0) for one in own], axis=0)
    spread = np.max([spreads(run, found, number) for number in range(len(own))], axis=0)
    order = np.argsort(-largest * spread, kind="stable")
    return {
        "source": found.motion.source,
        "imbalance": found.motion.imbalance,
        "held": int(found.motion.held.sum()),
        "momentum": {names[k]: float(largest[k]) for k in order},
        "kick": {names[k]: float(kicks[k]) for k in order},
        "energy": None if found.energies is None else _energy_record(found.energies),
    }


def spreads(run: Result, found: Moved, window: int) -> Array:
    """Standard deviation of every state over a window of the path, shape (D,), in the state's unit."""
    return np.asarray(run.problem.split(found.path)[0][window][:, : run.problem.dimension].std(axis=0))


def _energy_record(energies: Sequence[Energy]) -> dict[str, float]:
    size = max(float(np.abs([one.arriving, one.leaving]).max()) for one in energies)
    change = max(float(np.abs(one.arriving[1:] - one.leaving[:-1]).max()) for one in energies)
    return {"largest": size, "change": change}


def momentum_sentences(record: dict[str, Any]) -> list[str]:
    """What `momentum_record` holds, for people."""
    first = list(record["momentum"].items())[:NAMED]
    largest = ", ".join(f"{name} {value:.3g}" for name, value in first)
    told = [
        "The momentum of a state at a time is the multiplier of its equation: how fast the action of all "
        "earlier times grows when the state there is shifted. It jumps where data pull at the path, is "
        "carried by the model between, and is what back-propagation computes where the model is obeyed "
        "exactly.",
        f"Largest momenta, ordered by size times the spread of the state: {largest}.",
    ]
    left = record["imbalance"]
    if left <= BALANCED:
        told.append(
            f"The equations of motion, with their conditions at both ends, hold to {left:.1g} of the largest "
            "momentum."
        )
    else:
        told.append(
            f"The equations of motion do not hold: {left:.2g} of the largest momentum is left, so that the "
            "path is no minimum."
        )
    if record["held"]:
        told.append(f"{counted(record['held'], 'unknown')} at a bound are left out of this.")
    if record["source"] == "balance of forces":
        told.append(
            "The multipliers are those that balance the forces, which here are more accurate than model "
            "errors times Rf."
        )
    energy = record["energy"]
    if energy is not None:
        told.append(
            f"The energy is at most {energy['largest']:.3g} in size; from one time to the next, between "
            f"data, it changes by at most {energy['change']:.2g}. It is conserved there, up to the time "
            "step, where the equations do not depend on time."
        )
    return told
