"""Look inside a model, a graph or a running cell: rows and arrays, never HTML.

`graph` reads the autograd graph (and inside `recording` nodes note the lines of code that made them),
`step_backward` goes through a backward pass node by node, `gradients` watches a model being trained
and says what looks wrong, `profile` times operations, `memory` follows tensors and `live_tensors`
lists them, `summary` lists a model's layers, `describe` looks at a tensor's values. The Jupyter
magics, the widgets and the `plot_…` functions draw what these return; so can your own code: every
record has a `to_dict()` that JSON can hold.
"""

from __future__ import annotations

from tensorlab.inspect.autograd_graph import graph, node_value, saved_values
from tensorlab.inspect.backward_steps import (
    BackwardStep,
    BackwardSteps,
    SentGradient,
    step_backward,
)
from tensorlab.inspect.description import Description, describe
from tensorlab.inspect.gradient_recorder import GradientRecorder, gradients
from tensorlab.inspect.graph_records import (
    Graph,
    GraphEdge,
    GraphModule,
    GraphNode,
    GraphRepeat,
    SavedValue,
)
from tensorlab.inspect.health import Flag
from tensorlab.inspect.kernel_plot import plot_kernel
from tensorlab.inspect.memory_profiler import memory
from tensorlab.inspect.memory_records import (
    MemoryEvent,
    MemoryRow,
    MemoryTensor,
    live_tensors,
)
from tensorlab.inspect.module_summary import ModuleRow, Summary, summary
from tensorlab.inspect.plots import (
    plot_gradients,
    plot_graph,
    plot_memory,
    plot_profile,
    plot_tensor,
)
from tensorlab.inspect.profiler import OUTSIDE, ProfileEvent, ProfileRow, profile
from tensorlab.inspect.recording import Source, recording

__all__ = [
    "OUTSIDE",
    "BackwardStep",
    "BackwardSteps",
    "Description",
    "Flag",
    "GradientRecorder",
    "Graph",
    "GraphEdge",
    "GraphModule",
    "GraphNode",
    "GraphRepeat",
    "MemoryEvent",
    "MemoryRow",
    "MemoryTensor",
    "ModuleRow",
    "ProfileEvent",
    "ProfileRow",
    "SavedValue",
    "SentGradient",
    "Source",
    "Summary",
    "describe",
    "gradients",
    "graph",
    "live_tensors",
    "memory",
    "node_value",
    "plot_gradients",
    "plot_graph",
    "plot_kernel",
    "plot_memory",
    "plot_profile",
    "plot_tensor",
    "profile",
    "recording",
    "saved_values",
    "step_backward",
    "summary",
]
