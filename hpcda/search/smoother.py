"""Ensemble Kalman smoother of a window, with the parameters as constant states.

Forward a stochastic ensemble Kalman filter (G. Burgers, P. J. van Leeuwen, G. Evensen, Mon. Weather Rev. 126,
1719 (1998)): with anomalies of the members A and of what is measured B, every member moves by

    A Bᵀ (B Bᵀ + (M - 1) R)⁻¹ (y + ε - h(x)),   ε ~ N(0, R).

Backward the means of the ensemble Rauch-Tung-Striebel smoother (P. N. Raanes, Q. J. R. Meteorol. Soc. 142,
1259 (2016)), with a for "after the data of its point" and f for "predicted":

    m(n) = m_a(n) + cov(x_a(n), x_f(n+1)) cov(x_f(n+1))⁻¹ (m(n+1) - m_f(n+1)).

The members of the first point are smoothed on the way forward where that is wanted (G. Evensen,
P. J. van Leeuwen, Mon. Weather Rev. 128, 1852 (2000)): they move by the same formula, with their anomalies in
the place of A.
"""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np

from hpcda.native.declared import number, structures
from hpcda.problem import Array, Window
from hpcda.search.forecast import Forecast, grid_of
from hpcda.search.localization import Hops

CHUNK = 2_000_000
"""Random numbers that are drawn at once."""

_Ensemble = structures("smoother.c")["Ensemble"]
_EIGHT = number("smoother.c", "EIGHT")


class Smoother:
    """Filter and backward pass over windows of a problem.

    Args:
        forecast: The problem's forecast.

    Attributes:
        forecast: The same.
        bounds: Lower and upper bounds of a member, each of shape (D + V + P,).
        hops: How far all these are from what is measured.
    """

    def __init__(self, forecast: Forecast) -> None:
        self.forecast, problem = forecast, forecast.problem
        lower, upper = problem.bounds
        seen = problem.layout.tail.start + problem.layout.seen(0)
        member = np.concatenate([np.arange(problem.layout.block), seen])
        self.bounds = lower[member], upper[member]
        self.hops = Hops.of(forecast.equations)

    def filter(
        self,
        window: Window,
        members: Array,
        rng: np.random.Generator,
        reach: tuple[Array, Array],
        easing: float = 1.0,
        substeps: int = 1,
        begun: Array | None = None,
        backward: bool = True,
        hops: float | None = None,
    ) -> Filtered:
        """Take members through the data of a window.

        Members that grow without bound become copies of others.

        Args:
            window: The window.
            members: At its first point, before its data, shape (D + V + P, members), their number a multiple
                of 8; they are carried on in place, to the last point.
            rng: Where noise comes from.
            reach: Where states are, and how far from there a member is lost, each of shape (D,).
            easing: Factor of the variance of the data.
            substeps: Runge-Kutta steps a step of the path.
            begun: A copy of the members, which becomes the members of the first point smoothed by all data.
            backward: Whether the covariances of a backward pass are kept.
            hops: Distance at which a covariance with what is measured is believed to 5/24, and at twice which
                it no longer is, see `hpcda.search.localization`; None: all are believed.
        """
        problem, rows = self.forecast.problem, self.forecast.rows
        count = members.shape[1]
        for one in (members,) if begun is None else (members, begun):
            if one.shape != (rows, count) or count % _EIGHT or not one.flags.c_contiguous:
                raise ValueError(f"members of shape {one.shape}, wanted ({rows}, a multiple of {_EIGHT})")
        moments = {name: np.zeros((window.times, rows)) for name in ("analyzed", "predicted")}
        if backward:
            moments |= {name: np.zeros((window.times, rows, rows)) for name in ("cross", "factor")}
        if begun is not None:
            moments["begun"] = begun
        walk = np.array([q.walk_std or 0.0 for q in problem.varying])
        arrays: dict[str, Array] = moments | {
            "data": np.ascontiguousarray(window.data),
            "std": np.sqrt(easing) * window.noise_std,
            "lower": self.bounds[0],
            "upper": self.bounds[1],
            "center": np.ascontiguousarray(reach[0]),
            "reach": np.ascontiguousarray(reach[1]),
            "walk": walk,
            "now": members,
            "misfit": np.zeros(window.times),
        }
        if hops is not None:
            arrays["near"], arrays["together"] = self.hops.shares(hops)
        ensemble = _Ensemble(
            members=count,
            substeps=substeps,
            **{name: array.ctypes.data for name, array in arrays.items()},
        )
        grid, _series = grid_of(window)
        measured = np.isfinite(window.data).sum(axis=1)
        walking = len(walk) if walk.any() else 0
        done, times = 0, max(1, CHUNK // (count * (window.data.shape[1] + walking)))
        while done < window.times:
            end = min(done + times, window.times)
            noise = rng.bit_generator.random_raw(int(measured[done:end].sum()) * count)
            walks = rng.standard_normal((end - done if walking else 0, len(walk), count), dtype=np.float32)
            reached = self.forecast.library.filter(
                ctypes.byref(self.forecast.sizes), ctypes.byref(grid), ctypes.byref(ensemble), done, end,
                noise.ctypes.data, walks.ctypes.data if walking else None,
            )  # fmt: skip
            if reached < 0:
                raise MemoryError("filter")
            if reached < end:
                return Filtered(self, ensemble, arrays, reached)
            done = end
        return Filtered(self, ensemble, arrays, done)


class Filtered:
    """What the filter leaves of one window.

    Attributes:
        times: Points that were filtered; fewer than the window's where all members were lost.
        misfit: Squared distances of the data from their forecasts, the means of what the members say they are
            before they hear them, in units of the (eased) variance of the data, summed over what is measured
            at a time, shape (N,).
    """

    def __init__(self, smoother: Smoother, ensemble: Any, arrays: dict[str, Array], times: int) -> None:
        self._smoother, self._ensemble, self._arrays, self.times = smoother, ensemble, arrays, times
        self.misfit = arrays["misfit"]

    def means(self) -> Array:
        """Means of the filter, shape (N, D + V + P)."""
        return self._arrays["analyzed"]

    def informed(self, members: Array, parameters: Array) -> Array:
        """Mean of members, shape (D + V + P,), where later windows say what shared parameters are.

        Args:
            members: Shape (D + V + P, members), their number a multiple of 8.
            parameters: Those that all windows share, the last rows of a member.
        """
        forecast = self._smoother.forecast
        mean, own = np.zeros(len(members)), np.ascontiguousarray(parameters)
        if forecast.library.informed(
            ctypes.byref(forecast.sizes), len(own), members.shape[1], members.ctypes.data,
            own.ctypes.data, mean.ctypes.data,
        ):  # fmt: skip
            raise MemoryError("informed")
        return mean

    def smoothed(self, last: Array | None = None) -> Array:
        """Smoothed means, shape (N, D + V + P); after members were lost, the last ones that are finite.

        Args:
            last: Mean of the last point where more is known of it than the filter does, shape (D + V + P,).

        Raises:
            ValueError: The filter kept nothing for the backward pass.
        """
        if "cross" not in self._arrays:
            raise ValueError("the covariances of a backward pass were not kept")
        path = np.array(self._arrays["analyzed"])
        if last is not None:
            path[self.times - 1] = last
        forecast = self._smoother.forecast
        if forecast.library.smooth(
            ctypes.byref(forecast.sizes), ctypes.byref(self._ensemble), self.times, path.ctypes.data
        ):
            raise MemoryError("smooth")
        path[self.times :] = path[self.times - 1]
        return path
