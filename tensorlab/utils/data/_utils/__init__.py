"""Parts of the loader.

`collate` makes batches and `fetch` reads samples; `iterators` go through a dataset once. With worker
processes, `pool` starts and watches them, `worker` is what runs in one, `channel` carries messages
and arrays, `errors` exceptions, and `threads` keeps the linear algebra library out of trouble.
"""

from __future__ import annotations

from tensorlab.utils.data._utils import collate, fetch, worker

__all__ = ["collate", "fetch", "worker"]
