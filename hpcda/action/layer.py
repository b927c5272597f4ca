"""A dense layer as a kernel: h_i = x'_i - g(Σ_j W_ij x_j + b_i), as loops over units (native/layer.c).

A residual layer, x' = x + g(W x + b), has h_i less by x_i (native/residual.c).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hpcda.action.kernel import ARGUMENTS, Kernel, Pair
from hpcda.models.traced import trace
from hpcda.native.kernels import source

_FUNCTIONS = """{activation}
static const Layer {name}_layer = {{
  {inputs}, {outputs}, {given}, {name}_g_values, {name}_g_jacobian, {bend},
}};
static void {name}_values({arguments}) {{
  (void)s; (void)t; (void)mu;
  {kind}_values(&{name}_layer, v, c, out);
}}
static void {name}_jacobian({arguments}) {{
  (void)s; (void)t; (void)mu;
  {kind}_jacobian(&{name}_layer, v, c, out);
}}
static void {name}_curvature(const vd *v, const vd *c, const vd *w, const vd *mu, vd *local) {{
  {kind}_curvature(&{name}_layer, v, c, w, mu, local);
}}
"""


def dense_layer(
    inputs: int,
    outputs: int,
    activation: Callable[[Any], Any],
    given: bool = False,
    residual: bool = False,
) -> Kernel:
    """The kernel of a layer.

    Args:
        inputs: Length of x.
        outputs: Length of x'.
        activation: g, plain Python of one number.
        given: Whether x are constants, not unknowns.
        residual: Whether x are added to the activation; there are then as many x' as x.

    Returns:
        A kernel of the unknowns x (unless given), W row after row, b, x'; x are its constants where given.

    Raises:
        InputError: The activation cannot be differentiated.
    """
    if residual and inputs != outputs:
        raise ValueError(f"a residual layer from {inputs} to {outputs} units")
    traced = trace(lambda given: [activation(given("v", 0))])
    first = 0 if given else inputs
    weight = [[first + i * inputs + j for j in range(inputs)] for i in range(outputs)]
    bias = [first + outputs * inputs + i for i in range(outputs)]
    after = [first + outputs * (inputs + 1) + i for i in range(outputs)]
    jacobian = [
        (i, place)
        for i in range(outputs)
        for place in (*range(first), *weight[i], bias[i], after[i])
    ]  # fmt: skip

    kind = "residual" if residual else "layer"

    def code(name: str) -> str:
        bend = f"{name}_g_hessian" if traced.hessian else "0"
        return _FUNCTIONS.format(
            arguments=ARGUMENTS, name=name, activation=source(traced, f"{name}_g"), inputs=inputs,
            outputs=outputs, given=int(given), bend=bend, kind=kind,
        )  # fmt: skip

    if not traced.jacobian:
        raise ValueError("an activation that does not depend on its argument")
    return Kernel(
        outputs,
        first + outputs * (inputs + 2),
        inputs if given else 0,
        jacobian,
        (),
        code,
        curvature=_curvature(first, weight, bias, after),
        files=("layer.c", "residual.c") if residual else ("layer.c",),
        room=4 * outputs,
    )


def _curvature(x: int, weight: list[list[int]], bias: list[int], after: list[int]) -> list[Pair]:
    """Pairs of unknowns in the order of layer.c."""
    found = []
    for j in range(x):
        found += [(j, k) for k in (*range(j, x), *after, *(w for row in weight for w in row), *bias)]
    for row, b, own in zip(weight, bias, after, strict=True):
        found += [(own, other) for other in (own, *row, b)]
    for row, b in zip(weight, bias, strict=True):
        found += [(w, other) for j, w in enumerate(row) for other in (*row[j:], b)] + [(b, b)]
    return found
