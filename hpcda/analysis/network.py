"""A finished run that trained a network: ``run = hpcda.open_run("run")``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from scipy.linalg import eigh
from scipy.special import logsumexp

from hpcda.action.activations import ACTIVATIONS
from hpcda.action.exact_network import ExactNetwork
from hpcda.action.factors import DataLoss
from hpcda.action.losses import LOSSES
from hpcda.action.network import Network
from hpcda.analysis.candidate import Band, Separation, separation
from hpcda.analysis.ends import ends_of, rows_of
from hpcda.analysis.levels import ACTION_TOLERANCE, Minimum, action_groups, minima_of_rows, minimum_of
from hpcda.analysis.network_answer import NetworkAnswer
from hpcda.analysis.network_laplace import DRAWS, Tempered, WeightDistribution, distribution, tempered
from hpcda.analysis.outcome import Outcome, collect, joined, task_source
from hpcda.analysis.parallel import Mapping, in_turn
from hpcda.analysis.score import Score, score, shares
from hpcda.errors import InputError, Mistake
from hpcda.formatting import counted
from hpcda.job.stored import job_as_it_was
from hpcda.problem import Array, Numbers
from hpcda.results.network import StoredNetwork
from hpcda.results.table import RunTable
from hpcda.results.windows import StoredWindow
from hpcda.search.conclusion import Conclusion
from hpcda.search.evidence import Evidence
from hpcda.search.expected import Expected
from hpcda.search.judge import Ends, minima_of
from hpcda.search.networks import judged

if TYPE_CHECKING:
    import xarray as xr

Flags = npt.NDArray[np.bool_]
ALIKE = 1e-2
"""Largest root mean square difference of two networks' outputs, in units of their spread, of one minimum."""
MOST_EIGENVALUES = 3000
"""Weights up to which the eigenvalues of the Hessian are computed."""
FLAT = 1e-10
"""Part of the largest eigenvalue of the Hessian below which a direction is flat."""


class NetworkResult(NetworkAnswer):
    """A run that trained a network: labeled data, distinct minima, candidate, weights, prediction.

    Attributes:
        file: Its files.
        notes: What the analysis could not do, and why, gathered as it goes.
    """

    def __init__(self, file: RunTable, trust: bool = False) -> None:
        self._begin(file, trust)

    def _begin(self, file: RunTable, trust: bool) -> None:
        self.file = file
        self._trust = trust
        self.notes: list[str] = []
        self._mapping: Mapping = in_turn
        self._parts = 1

    def __repr__(self) -> str:
        header = self.file.header
        starts = counted(len(self.file.start), "start")
        return f"<NetworkResult {self.file.name!r}: {header.model}, {starts}>"

    def __getstate__(self) -> tuple[RunTable, bool]:
        """What a copy is made of; what was computed from it is computed again there."""
        return self.file, self._trust

    def __setstate__(self, state: tuple[RunTable, bool]) -> None:
        self._begin(*state)

    def use(self, mapping: Mapping, parts: int) -> NetworkResult:
        """Let the parts of the ensemble be read through `mapping`; returns the run itself."""
        self._mapping, self._parts = mapping, max(1, parts)
        return self

    @cached_property
    def pairs(self) -> StoredWindow:
        """The pairs as they were given: outputs are `data`, inputs `series`; `beyond_…` are kept back."""
        return self.file.windows()[0]

    @cached_property
    def network(self) -> Network:
        """The network and the pairs that were trained.

        Raises:
            InputError: An activation of a file of the user's cannot be loaded.
        """
        stored, (loss, options) = self.stored, self.stored.loss
        if not set(stored.activations) <= set(ACTIVATIONS) or (loss != "gaussian" and loss not in LOSSES):
            job_as_it_was(self.file.run_dir, self._trust)  # its files define them
        spread = self.pairs.noise_std.max(axis=0) if loss == "gaussian" else None
        return Network(
            stored.widths,
            [ACTIVATIONS[name].function for name in stored.activations],
            self._scaled(self.pairs.series),
            self.pairs.data,
            DataLoss(LOSSES[loss], options) if spread is None else spread,
            input_std=stored.input_std or None,
            weight_std=stored.weight_std if np.isfinite(stored.weight_std) else None,
            bias_std=stored.bias_std,
            missing_std=stored.missing_std,
            start=stored.start,
            residual=stored.residual,
            continuum=stored.continuum,
        )

    @cached_property
    def action(self) -> ExactNetwork:
        """Its action at Rf = ∞."""
        return ExactNetwork(self.network)

    @cached_property
    def stored(self) -> StoredNetwork:
        """The network as it was stored: layers, prior, scales of inputs, teacher."""
        return self.file.network()

    def _scaled(self, inputs: Array) -> Array:
        return np.asarray((inputs - self.stored.shift) / self.stored.scale)

    @property
    def categories(self) -> bool:
        """Whether the outputs are logits of categories."""
        output = self.network.output
        return isinstance(output, DataLoss) and output.loss.joint

    @cached_property
    def outcome(self) -> Outcome:
        """How every start ended."""
        source = task_source(self.file, self._mapping)
        jobs = [(source, part) for part in self.file.parts(self._parts)]
        if not jobs:
            place = self.file.name
            raise InputError(Mistake(place, "no start has completed a rung", "run the job again"))
        return joined(self._mapping(collect, jobs))

    def theta(self, start: int | None = None) -> Array:
        """Weights of a start, flat, shape (size,), after inputs that are noisy; by default the candidate's.

        Raises:
            InputError: They were not kept, or there is no candidate.
        """
        if start is None:
            if self.candidate is None:
                raise InputError(Mistake("start", "no start reached the end", "look at the reasons"))
            start = self.candidate.start
        try:
            blocks, _ = self.file.paths([self.file.path_places(start)])
        except KeyError as error:
            remedy = 'keep more with output.keep_paths = "final"'
            raise InputError(Mistake("start", str(error.args[0]), remedy)) from None
        return np.asarray(blocks[0, 0])

    def weights(self, start: int | None = None) -> xr.Dataset:
        """Weights W0, b0, W1, … of a start, labeled; by default the candidate's.

        Those of a field are W, b over time, shape (times, units, units) and (times, units); what goes before
        and after is W_in, b_in, W_out, b_out.

        Raises:
            InputError: They were not kept.
        """
        header = self.file.header
        import xarray as xr

        if self.network.continuum is not None:
            return self._field(self.action.matrices(self.theta(start)))
        found: dict[str, Any] = {}
        layers = self.action.weights(self.theta(start))
        for n, (matrix, bias) in enumerate(layers):
            found[f"W{n}"] = (f"layer{n + 1}", f"layer{n}"), matrix
            found[f"b{n}"] = (f"layer{n + 1}",), bias
        names = {"layer0": list(header.series), f"layer{len(layers)}": list(header.observed)}
        return xr.Dataset(found, coords=names)

    def _field(self, matrices: Sequence[tuple[Array, Array]]) -> xr.Dataset:
        import xarray as xr

        header, network = self.file.header, self.network
        assert network.continuum is not None
        own = [matrices[n] for n in network.field]
        found: dict[str, Any] = {
            "W": (("time", "unit", "from"), np.stack([matrix for matrix, _ in own])),
            "b": (("time", "unit"), np.stack([bias for _, bias in own])),
            "W_out": (("output", "unit"), matrices[-1][0]),
            "b_out": (("output",), matrices[-1][1]),
        }
        if network.field[0]:
            found |= {"W_in": (("unit", "input"), matrices[0][0]), "b_in": (("unit",), matrices[0][1])}
        coords: dict[str, Any] = {"time": list(network.continuum.times), "output": list(header.observed)}
        if network.field[0]:
            coords["input"] = list(header.series)
        return xr.Dataset(found, coords=coords)

    @property
    def momentum(self) -> xr.Dataset:
        """Momenta of the units, for the candidate's weights; see `momentum_of`."""
        return self.momentum_of()

    def momentum_of(self, start: int | None = None) -> xr.Dataset:
        """Momenta p1 … pN of the units of every layer, dims (pair, layer): minus what back-propagation gives.

        They are the multipliers of the layers' rule in the action: minus the derivative of each pair's loss
        by its units (Abarbanel, Rozdeba, Shirman, Neural Computation 30, 2025 (2018)). Layers have no time
        step, so that there is no energy.

        Args:
            start: Number of the start; by default the candidate's.

        Raises:
            InputError: Its weights were not kept.
        """
        import xarray as xr

        forces = self.action.multipliers(self.theta(start))
        found = {f"p{n}": (("pair", f"layer{n}"), -force) for n, force in enumerate(forces, 1)}
        names = {"pair": self.pairs.t.astype(int), f"layer{len(forces)}": list(self.file.header.observed)}
        return xr.Dataset(found, coords=names)

    @cached_property
    def dataset(self) -> xr.Dataset:
        """Actions of all starts, norms of their weights, and the pairs, labeled."""
        import xarray as xr

        header, file, pairs = self.file.header, self.file, self.pairs
        found: dict[str, Any] = {name: (("start", "rung"), values) for name, values in file.tables().items()}
        found["norm"] = ("start", "rung", "array"), file.table("parameters")
        found["way"] = "start", np.array([*header.ways, ""])[file.table("way").astype(int)]
        found["inputs"] = ("pair", "input"), pairs.series
        found["outputs"] = ("pair", "output"), pairs.data
        coords = {
            "start": file.start, "rf": ("rung", header.rf), "array": list(header.parameter),
            "pair": pairs.t.astype(int), "input": list(header.series), "output": list(header.observed),
        }  # fmt: skip
        if len(pairs.beyond_t):
            found["held_back_inputs"] = ("held_back", "input"), pairs.beyond_series
            found["held_back_outputs"] = ("held_back", "output"), pairs.beyond_data
            coords["held_back"] = pairs.beyond_t.astype(int)
        return xr.Dataset(found, coords=coords, attrs={"model": header.model, "title": header.model_title})

    def outputs(self, inputs: Array, theta: Array) -> Array:
        """Outputs of weights for inputs as they are given, shape (pairs, outputs); logits of categories.

        An input that is missing is taken for its mean.
        """
        given = np.nan_to_num(self._scaled(np.atleast_2d(np.asarray(inputs, dtype=np.float64))), nan=0.0)
        blank = np.zeros((len(given), self.network.widths[-1]))
        network = replace(self.network, inputs=given, outputs=blank, input_std=None)
        return ExactNetwork(network).outputs(theta[-network.weights :])

    def predict(
        self,
        inputs: Any,
        start: int | None = None,
        temperature: float = 0.0,
        draws: int = DRAWS,
        seed: int = 0,
    ) -> xr.DataArray:
        """What the network gives for new inputs: outputs, or the probability of every category.

        Args:
            inputs: As they were given in the data, shape (pairs, inputs) or (inputs,).
            start: The start whose weights are used; by default the candidate's.
            temperature: Above 0 the mean over weights drawn from the candidate's `distribution` is taken.
            draws: How many are drawn.
            seed: Seed of the draws.

        Returns:
            Dims (pair, output).

        Raises:
            InputError: The inputs do not fit, the weights were not kept, or they have no distribution.
        """
        header = self.file.header
        given = np.atleast_2d(np.asarray(inputs, dtype=np.float64))
        if given.ndim != 2 or given.shape[1] != len(header.series) or not np.isfinite(given).all():
            problem = f"an array of shape {np.shape(inputs)}, or with non-finite numbers"
            remedy = f"give finite numbers of shape (pairs, {len(header.series)})"
            raise InputError(Mistake("inputs", problem, remedy))
        if temperature > 0.0:
            known = self.distribution
            if start is not None or isinstance(known, str):
                problem = known if isinstance(known, str) else "only the candidate has a distribution"
                raise InputError(Mistake("temperature", problem, "leave it out"))
            weights = known.draw(np.random.default_rng(seed), draws, temperature)
        else:
            weights = self.theta(start)[None]
        import xarray as xr

        found = self._mean(given, weights)
        return xr.DataArray(found, dims=("pair", "output"), coords={"output": list(header.observed)})

    def _mean(self, inputs: Array, weights: Array) -> Array:
        """Mean of what weights, shape (count, size), predict: outputs, or probabilities of categories."""
        total = np.zeros((len(inputs), self.network.widths[-1]))
        for theta in weights:
            found = self.outputs(inputs, theta)
            if self.categories:
                found = np.exp(found - found.max(axis=1, keepdims=True))
                found /= found.sum(axis=1, keepdims=True)
            total += found
        return total / len(weights)

    @cached_property
    def distribution(self) -> WeightDistribution | str:
        """The distribution of weights about the candidate, or why there is none."""
        if self.candidate is None or not self.candidate.has_path:
            return "the candidate's weights were not stored"
        return distribution(self.action, self.theta())

    @cached_property
    def tempered(self) -> Tempered | None:
        """How well the distribution predicts held-out pairs, by its temperature; None where that is open."""
        known, pairs = self.distribution, self.pairs
        if isinstance(known, str) or len(pairs.beyond_t) < 4:
            return None
        return tempered(known, self._loss_of_half)

    def _loss_of_half(self, weights: Array, second: bool) -> float:
        """-log of the mean likelihood that weights give to every other pair kept back, a value or a pair."""
        half = slice(int(second), None, 2)
        inputs, outputs = self.pairs.beyond_series[half], self.pairs.beyond_data[half]
        found = [shares(self.outputs(inputs, theta), outputs, self.network.output) for theta in weights]
        return float(np.mean(np.log(len(weights)) - logsumexp(-np.stack(found), axis=0)))

    @cached_property
    def levels(self) -> tuple[Minimum, ...]:
        """Distinct minima, lowest first: starts of one action whose networks have the same outputs."""
        file, outcome = self.file, self.outcome
        if self.ends.sketched:
            return minima_of_rows(file, outcome, minima_of(self.ends))
        rows = np.flatnonzero(outcome.complete)
        rows = rows[np.argsort(outcome.action[rows], kind="stable")]
        if not len(rows):
            return ()
        action = outcome.action[rows]
        floor = 1e-9 * np.sqrt(max(file.header.measured, 1) / 2)
        groups = action_groups(action, np.maximum(ACTION_TOLERANCE * np.abs(action), floor))
        kept = np.array([file.has_path(int(start)) for start in outcome.start[rows]])
        if not kept.all():
            self._note(
                f"{int((~kept).sum())} of {counted(len(rows), 'start')} stored no weights: they "
                "were compared "
                "by their actions only"
            )
        found = []
        for group in range(int(groups[-1]) + 1):
            for members in self._alike(rows[groups == group], kept[groups == group]):
                found.append(minimum_of(file, outcome, members[0], members[1]))
        return tuple(sorted(found, key=lambda minimum: minimum.action))

    def _alike(self, rows: Numbers, kept: Flags) -> Sequence[tuple[Numbers, Flags]]:
        """Rows of one action, divided into those whose networks have the same outputs."""
        if len(rows) == 1 or not kept.any():
            return [(rows, kept)]
        outputs = {
            int(row): self.action.outputs(self.theta(int(self.outcome.start[row]))) for row in rows[kept]
        }
        spread = max(float(np.std(next(iter(outputs.values())))), 1e-300)
        leaders: list[int] = []
        members: dict[int, list[int]] = {}
        for row in map(int, [*rows[kept], *rows[~kept]]):
            own = outputs.get(row)
            same = (
                one
                for one in leaders
                if own is None or np.sqrt(np.mean((own - outputs[one]) ** 2)) <= ALIKE * spread
            )
            leader = next(same, row)
            if leader == row:
                leaders.append(row)
            members.setdefault(leader, []).append(row)
        return [(rows[np.isin(rows, own)], kept[np.isin(rows, own)]) for own in members.values()]

    @property
    def candidate(self) -> Minimum | None:
        """The lowest minimum, None where no start reached the end."""
        return self.levels[0] if self.levels else None

    @cached_property
    def expected(self) -> Expected | None:
        """What noise alone makes of the measurement part; None of Gaussian noise, not known of categories."""
        output = self.network.output
        if not isinstance(output, DataLoss):
            return None
        if output.loss.joint or self.candidate is None or not self.candidate.has_path:
            return Expected(0.0, 0.0, known=False)
        last = self.action.outputs(self.theta())
        options = output.loss.optional(output.options)
        mean, variance = output.loss.noise(last, np.ones_like(last), options)
        known = np.isfinite(self.network.outputs)
        return Expected(float(mean[known].sum()), float(variance[known].sum()))

    @cached_property
    def band(self) -> Band:
        """χ² band of the reduced level; empty for categories."""
        header = self.file.header
        return Band.of(header.measured, header.trajectory_unknowns, self.expected)

    @cached_property
    def separation(self) -> Separation:
        """Distance of the candidate to the other levels."""
        return separation(self.levels, self.band)

    @cached_property
    def trained(self) -> Score | None:
        """How the candidate does on the pairs that were trained."""
        return self._score(self.pairs.series, self.pairs.data)

    @cached_property
    def held_back(self) -> Score | None:
        """How it does on those that were kept back; None where there are none."""
        pairs = self.pairs
        return self._score(pairs.beyond_series, pairs.beyond_data) if len(pairs.beyond_t) else None

    def _score(self, inputs: Array, outputs: Array) -> Score | None:
        if self.candidate is None or not self.candidate.has_path:
            return None
        found = self.outputs(inputs, self.theta())
        return score(found, outputs, self.network.output, self.pairs.data)

    @cached_property
    def flat(self) -> int | None:
        """Directions in which weights can move and nothing changes; None where the Hessian was not made."""
        kept = self.candidate is not None and self.candidate.has_path
        if not kept or self.network.input_std is not None or self.network.weights > MOST_EIGENVALUES:
            return None
        eigenvalues = eigh(self.action.derivatives(self.theta())[2], eigvals_only=True)
        return int((eigenvalues <= FLAT * eigenvalues[-1]).sum())

    @property
    def verdict(self) -> Conclusion:
        """What the ensemble says."""
        return self._concluded[0]

    @property
    def evidence(self) -> Evidence:
        """What the verdict rests on."""
        return self._concluded[1]

    @cached_property
    def _concluded(self) -> tuple[Conclusion, Evidence]:
        return judged(
            self.network,
            self.ends,
            None if self.held_back is None else self.held_back.excess,
            float(self.file.finished.sum()) / max(self.file.header.starts, len(self.file.start), 1),
            self.expected,
            rows_of(self.ends, self.levels),
        )

    @cached_property
    def ends(self) -> Ends:
        """How the starts ended, as the judge takes it."""
        return ends_of(self.file, self.outcome)

    def _note(self, note: str) -> None:
        if note not in self.notes:
            self.notes.append(note)
