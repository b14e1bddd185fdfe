"""Automatic mixed precision: products in bfloat16 or float16, the rest in float32.

>>> import tensorlab as tl
>>> from tensorlab import nn
>>> model = nn.Linear(4, 2)
>>> optimizer = tl.optim.SGD(model.parameters(), lr=0.1)
>>> scaler = tl.amp.GradScaler("cpu", init_scale=1024.0)
>>> with tl.amp.autocast("cpu", dtype=tl.float16):
...     loss = nn.functional.mse_loss(model(tl.ones(3, 4)), tl.zeros(3, 2))
>>> scaler.scale(loss).backward()
>>> scaler.step(optimizer)
>>> scaler.update()
"""

from __future__ import annotations

from tensorlab.amp.autocast_mode import autocast, custom_bwd, custom_fwd, is_autocast_available
from tensorlab.amp.grad_scaler import GradScaler

__all__ = ["GradScaler", "autocast", "custom_bwd", "custom_fwd", "is_autocast_available"]
