"""Look inside a model, a graph or a running cell: rows and arrays, never HTML.

`graph` reads the autograd graph, `summary` lists a model's layers, `profile` times operations,
`describe` looks at a tensor's values. The
Jupyter magics and the widgets draw what these return; so can your own code.
"""

from __future__ import annotations

from tensorlab.inspect.autograd_graph import Graph, GraphEdge, GraphNode, graph
from tensorlab.inspect.description import Description, describe
from tensorlab.inspect.module_summary import ModuleRow, Summary, summary
from tensorlab.inspect.profiler import OUTSIDE, ProfileEvent, ProfileRow, profile

__all__ = [
    "OUTSIDE",
    "Description",
    "Graph",
    "GraphEdge",
    "GraphNode",
    "ModuleRow",
    "ProfileEvent",
    "ProfileRow",
    "Summary",
    "describe",
    "graph",
    "profile",
    "summary",
]
