"""GRU, LSTM and a neural ODE in PyTorch, for `tests.benchmarks.recurrent`."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torchdiffeq import odeint

torch.set_num_threads(1)
EPOCHS, PATIENCE = 1500, 200
SEGMENT, SHOTS, DRAWN = 10, 2000, 10.0
"""Samples of a segment; steps of Adam; weight of the squares by which segments miss each other."""
Array = np.ndarray


class Recurrent(torch.nn.Module):
    """A GRU or LSTM of one layer with a linear output."""

    def __init__(self, kind: str, inputs: int, units: int) -> None:
        super().__init__()
        self.cell = getattr(torch.nn, kind)(inputs, units, batch_first=True)
        self.out = torch.nn.Linear(units, 1)

    def forward(self, x: torch.Tensor, memory: Any = None) -> tuple[torch.Tensor, Any]:
        """Outputs and memory."""
        found, memory = self.cell(x, memory)
        return self.out(found)[..., 0], memory


def fed_back(kind: str, units: int, y: Array, clock: Array, steps: int, seed: int) -> tuple[float, Array]:
    """Loss in training, and forecast of `steps` values; y standardized, clock of shape (N + steps, C)."""
    torch.manual_seed(seed)
    series, calendar = torch.tensor(y, dtype=torch.float32), torch.tensor(clock, dtype=torch.float32)
    net = Recurrent(kind, 1 + clock.shape[1], units)
    adam = torch.optim.Adam(net.parameters(), lr=0.01, weight_decay=1e-4)
    count = len(y)
    x = torch.cat([series[:-1, None], calendar[1:count]], dim=1)[None]
    kept = count - 1 - count // 10
    best, weights, since = np.inf, None, 0
    for _ in range(EPOCHS):
        adam.zero_grad()
        errors = (net(x)[0][0] - series[1:]) ** 2
        errors[:kept].mean().backward()
        held = float(errors[kept:].mean().detach())
        if held < best:
            best, since = held, 0
            weights = {name: value.clone() for name, value in net.state_dict().items()}
        since += 1
        if since > PATIENCE:
            break
        adam.step()
    net.load_state_dict(weights)
    with torch.no_grad():
        out, memory = net(x)
        loss = float(((out[0] - series[1:]) ** 2).mean())
        value, found = series[-1], []
        for n in range(steps):
            step = torch.cat([value[None], calendar[count + n]])[None, None]
            out, memory = net(step, memory)
            value = out[0, 0]
            found.append(float(value))
    return loss, np.array(found)


class Field(torch.nn.Module):
    """The vector field of jobs/recurrent/field.py."""

    def __init__(self, units: int) -> None:
        super().__init__()
        self.net = torch.nn.Sequential(torch.nn.Linear(3, units), torch.nn.Tanh(), torch.nn.Linear(units, 2))
        self.middle = torch.tensor([0.0, 0.0, 25.0])

    def forward(self, t: torch.Tensor, s: torch.Tensor) -> torch.Tensor:
        """Rates, shape (..., 3)."""
        known = 10.0 * (s[..., 1:2] - s[..., :1])
        return torch.cat([known, 10.0 * self.net((s - self.middle) / 10.0)], dim=-1)


def shooting(units: int, dt: float, data: Array, steps: int, seed: int) -> tuple[float, Array]:
    """Loss, and x, y, z of the window and after it, shape (N + steps, 3)."""
    torch.manual_seed(seed)
    field, seen = Field(units), torch.tensor(data, dtype=torch.float32)
    segments = (len(data) - 1) // SEGMENT
    used = segments * SEGMENT
    begin = torch.stack([seen[:used:SEGMENT, 0], seen[:used:SEGMENT, 0], seen[:used:SEGMENT, 1]], dim=1)
    begin = torch.nn.Parameter(begin.clone())
    wanted = torch.stack([seen[k : used + k : SEGMENT] for k in range(SEGMENT + 1)])
    times = dt * torch.arange(SEGMENT + 1, dtype=torch.float32)
    adam = torch.optim.Adam([{"params": field.parameters(), "lr": 1e-2}, {"params": [begin], "lr": 5e-2}])
    slower = torch.optim.lr_scheduler.CosineAnnealingLR(adam, SHOTS)
    for _ in range(SHOTS):
        adam.zero_grad()
        path = odeint(field, begin, times, method="rk4")
        misfit = ((path[..., [0, 2]] - wanted) ** 2).mean()
        missed = ((path[-1, :-1] - begin[1:]) ** 2).mean()
        loss = misfit + DRAWN * missed
        loss.backward()
        adam.step()
        slower.step()
    with torch.no_grad():
        inside = path[:-1].transpose(0, 1).reshape(-1, 3)
        ahead = dt * torch.arange(len(data) - used + steps, dtype=torch.float32)
        after = odeint(field, path[-1, -1], ahead, method="rk4")
    return float(loss.detach()), np.concatenate([inside.numpy(), after.numpy()])
