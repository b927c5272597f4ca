"""Second-order forward differentiation: a number with its gradient and Hessian, independent of the tracer."""

from __future__ import annotations

import numpy as np

# name: the function, its first and its second derivative
SMOOTH = {
    "exp": (np.exp, np.exp, np.exp),
    "log": (np.log, lambda a: 1 / a, lambda a: -(a**-2)),
    "sqrt": (np.sqrt, lambda a: 0.5 * a**-0.5, lambda a: -0.25 * a**-1.5),
    "sin": (np.sin, np.cos, lambda a: -np.sin(a)),
    "cos": (np.cos, lambda a: -np.sin(a), lambda a: -np.cos(a)),
    "tan": (np.tan, lambda a: np.cos(a) ** -2, lambda a: 2 * np.tan(a) * np.cos(a) ** -2),
    "sinh": (np.sinh, np.cosh, np.sinh),
    "cosh": (np.cosh, np.sinh, np.cosh),
    "tanh": (np.tanh, lambda a: np.cosh(a) ** -2, lambda a: -2 * np.tanh(a) * np.cosh(a) ** -2),
    "arcsin": (np.arcsin, lambda a: (1 - a * a) ** -0.5, lambda a: a * (1 - a * a) ** -1.5),
    "arccos": (np.arccos, lambda a: -((1 - a * a) ** -0.5), lambda a: -a * (1 - a * a) ** -1.5),
    "arctan": (np.arctan, lambda a: 1 / (1 + a * a), lambda a: -2 * a / (1 + a * a) ** 2),
    "log1p": (np.log1p, lambda a: 1 / (1 + a), lambda a: -((1 + a) ** -2)),
    "expm1": (np.expm1, np.exp, np.exp),
    "neg": (np.negative, lambda a: -1.0, lambda a: 0.0),
    "abs": (np.abs, np.sign, lambda a: 0.0),
    "sign": (np.sign, lambda a: 0.0, lambda a: 0.0),
    "floor": (np.floor, lambda a: 0.0, lambda a: 0.0),
    "square": (np.square, lambda a: 2 * a, lambda a: 2.0),
    "reciprocal": (lambda a: 1 / a, lambda a: -(a**-2), lambda a: 2 * a**-3),
}


class NearKink(Exception):
    """A point so close to where two branches meet that rounding decides between them."""


class Jet:
    """f, ∇f and ∇²f at one point."""

    def __init__(self, value, gradient, hessian):
        self.value, self.gradient, self.hessian = float(value), gradient, hessian

    @staticmethod
    def point(x):
        """The coordinates of a point as jets."""
        eye, zero = np.eye(len(x)), np.zeros((len(x), len(x)))
        return [Jet(value, eye[k], zero) for k, value in enumerate(x)]

    def _other(self, other):
        if isinstance(other, Jet):
            return other
        return Jet(other, np.zeros_like(self.gradient), np.zeros_like(self.hessian))

    def compose(self, value, slope, bend):
        """g(f) from g, g' and g'' at f."""
        outer = np.outer(self.gradient, self.gradient)
        return Jet(value, slope * self.gradient, slope * self.hessian + bend * outer)

    def apply(self, name):
        """A function of `SMOOTH`."""
        return self.compose(*(function(self.value) for function in SMOOTH[name]))

    def __add__(self, other):
        other = self._other(other)
        return Jet(self.value + other.value, self.gradient + other.gradient, self.hessian + other.hessian)

    def __mul__(self, other):
        other = self._other(other)
        cross = np.outer(self.gradient, other.gradient)
        return Jet(
            self.value * other.value,
            self.value * other.gradient + other.value * self.gradient,
            self.value * other.hessian + other.value * self.hessian + cross + cross.T,
        )

    def __pow__(self, y):
        if isinstance(y, Jet):
            return (y * self.apply("log")).apply("exp")
        a = self.value
        return self.compose(a**y, y * a ** (y - 1.0), y * (y - 1.0) * a ** (y - 2.0))

    def __rpow__(self, base):
        return (self * float(np.log(base))).apply("exp")

    def __neg__(self):
        return self * -1.0

    def __sub__(self, other):
        return self + -self._other(other)

    def __truediv__(self, other):
        return self * self._other(other).apply("reciprocal")

    def __lt__(self, other):
        difference = self.value - self._other(other).value
        if abs(difference) < 1e-9:
            raise NearKink
        return difference < 0

    def __gt__(self, other):
        return not self < other

    __radd__, __rmul__ = __add__, __mul__

    def __rsub__(self, other):
        return self._other(other) - self

    def __rtruediv__(self, other):
        return self._other(other) / self
