"""Recurrent layers and sequences of different lengths, against PyTorch."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import tensorlab as tl
from tensorlab import nn
from tensorlab.nn.utils import rnn

torch = pytest.importorskip("torch", reason="PyTorch is the oracle of these tests")

KINDS = [
    ("RNN", {}),
    ("RNN", {"nonlinearity": "relu"}),
    ("LSTM", {}),
    ("LSTM", {"proj_size": 2}),
    ("GRU", {}),
]
LENGTHS = [[4, 4, 2, 1], [1, 4, 3, 4], [3], [2, 2]]


def pair(name, *args, **kwargs):
    """The same layer in both libraries, in float64."""
    ours = getattr(nn, name)(*args, **kwargs).double()
    theirs = getattr(torch.nn, name)(*args, **kwargs).double()
    state = {k: torch.from_numpy(v.numpy()) for k, v in ours.state_dict().items()}
    theirs.load_state_dict(state)
    assert repr(ours) == repr(theirs)
    return ours, theirs


def both(a):
    return tl.from_numpy(a.copy()).requires_grad_(), torch.tensor(a, requires_grad=True)


def flat(x):
    """The tensors of a result, in order."""
    if isinstance(x, (rnn.PackedSequence, torch.nn.utils.rnn.PackedSequence)):
        return [x.data]
    return [t for part in x for t in flat(part)] if isinstance(x, (tuple, list)) else [x]


def assert_same(ours, theirs, leaves, modules):
    """Equal results, and equal gradients of everything."""
    a, b = flat(ours), flat(theirs)
    assert [tuple(x.shape) for x in a] == [tuple(x.shape) for x in b]
    for x, y in zip(a, b, strict=True):
        np.testing.assert_allclose(x.detach().numpy(), y.detach().numpy(), rtol=1e-9, atol=1e-12)
    sum((x * x).sum() for x in a).backward()
    sum((y * y).sum() for y in b).backward()
    pairs = [*leaves, *zip(modules[0].parameters(), modules[1].parameters(), strict=True)]
    for x, y in pairs:
        assert (x.grad is None) == (y.grad is None)
        if x.grad is not None:
            np.testing.assert_allclose(x.grad.numpy(), y.grad.numpy(), rtol=1e-8, atol=1e-11)


def initial(kind, options, layers, directions, batch, rng):
    shape = [layers * directions, *batch]
    sizes = [options.get("proj_size", 5), 5] if kind == "LSTM" else [5]
    made = [both(rng.standard_normal([*shape, n])) for n in sizes]
    hx = [tuple(m[i] for m in made) if kind == "LSTM" else made[0][i] for i in (0, 1)]
    return made, hx


@pytest.mark.parametrize(("kind", "options"), KINDS)
@pytest.mark.parametrize(
    ("layers", "bidirectional", "bias", "given"),
    [
        (1, False, True, False),
        (2, True, True, True),
        (3, False, False, True),
        (1, True, False, False),
    ],
)
@pytest.mark.parametrize("form", ["steps", "batch_first", "unbatched", "packed"])
def test_layers(kind, options, layers, bidirectional, bias, given, form, rng):
    ours, theirs = pair(
        kind,
        3,
        5,
        num_layers=layers,
        bidirectional=bidirectional,
        bias=bias,
        batch_first=form == "batch_first",
        **options,
    )
    shape = {"steps": (4, 2, 3), "batch_first": (2, 4, 3), "unbatched": (4, 3), "packed": (4, 4, 3)}
    x, y = both(rng.standard_normal(shape[form]))
    batch = {"unbatched": (), "packed": (4,)}.get(form, (2,))
    made, (hx, hy) = initial(kind, options, layers, 1 + bidirectional, batch, rng)
    a, b = x, y
    if form == "packed":
        a = rnn.pack_padded_sequence(x, [1, 4, 3, 4], enforce_sorted=False)
        b = torch.nn.utils.rnn.pack_padded_sequence(y, [1, 4, 3, 4], enforce_sorted=False)
    args = ((a, hx), (b, hy)) if given else ((a,), (b,))
    assert_same(ours(*args[0]), theirs(*args[1]), [(x, y), *made], (ours, theirs))


@pytest.mark.parametrize("seed", range(24))
def test_random_configurations(compare_second, device, seed):
    rng = np.random.default_rng(seed)
    kind, options = KINDS[seed % len(KINDS)]
    layers, steps, batch = (int(n) for n in rng.integers(1, 4, 3))
    bidirectional, bias, batch_first, given = (bool(b) for b in rng.integers(0, 2, 4))
    form = ("plain", "unbatched", "sorted", "unsorted")[rng.integers(4)]
    settings = {
        "num_layers": layers, "bidirectional": bidirectional, "bias": bias, "batch_first": batch_first,
        **options,
    }  # fmt: skip
    print(kind, settings, form, steps, batch, given)
    ours, theirs = pair(kind, 3, 5, **settings)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    lengths = [int(n) for n in rng.integers(1, steps + 1, batch)]
    lengths = sorted(lengths, reverse=True) if form == "sorted" else lengths
    shape = (
        (steps, 3)
        if form == "unbatched"
        else (batch, steps, 3)
        if batch_first
        else (steps, batch, 3)
    )
    lead = () if form == "unbatched" else (batch,)
    x = rng.standard_normal(shape)
    made, _ = initial(kind, options, layers, 1 + bidirectional, lead, rng)
    arrays = [x, *(m[0].detach().numpy() for m in made)] if given else [x]

    def run(lib, layer):
        def call(x, *states):
            sequences = lib.nn.utils.rnn
            if form in ("sorted", "unsorted"):
                x = sequences.pack_padded_sequence(
                    x,
                    lib.tensor(lengths, device="cpu"),
                    batch_first,
                    enforce_sorted=form == "sorted",
                )
            hx = (states if kind == "LSTM" else states[0]) if given else None
            out, last = layer(x, hx)
            if form in ("sorted", "unsorted"):
                out, _ = sequences.pad_packed_sequence(out, batch_first)
            return flat([out, last])

        return call

    results = [
        run(lib, layer)(*(lib.tensor(a, requires_grad=True) for a in arrays))
        for lib, layer in ((tl, ours), (torch, theirs))
    ]
    for a, b in zip(*results, strict=True):
        np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), rtol=1e-9, atol=1e-12)
    ours.to(device)
    compare_second(run(tl, ours), run(torch, theirs), *arrays)


@pytest.mark.filterwarnings("ignore:LSTM with projections")
@pytest.mark.parametrize(("kind", "options"), KINDS)
def test_init_and_dropout_draw_the_same_numbers(kind, options):
    """From one seed the same parameters and, in training, the same zeros."""
    tl.manual_seed(3)
    torch.manual_seed(3)
    ours = getattr(nn, kind)(3, 5, num_layers=2, dropout=0.4, bidirectional=True, **options)
    theirs = getattr(torch.nn, kind)(3, 5, num_layers=2, dropout=0.4, bidirectional=True, **options)
    assert repr(ours) == repr(theirs)
    for (name, p), (other, q) in zip(
        ours.named_parameters(), theirs.named_parameters(), strict=True
    ):
        assert name == other
        np.testing.assert_array_equal(p.detach().numpy(), q.detach().numpy())
    x = np.ones((4, 2, 3), np.float32)
    for training in (True, False):
        ours.train(training)
        theirs.train(training)
        a, b = ours(tl.from_numpy(x))[0], theirs(torch.tensor(x))[0]
        np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("kind", "options"),
    [("RNNCell", {}), ("RNNCell", {"nonlinearity": "relu"}), ("LSTMCell", {}), ("GRUCell", {})],
)
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("batch", [(), (2,)])
@pytest.mark.parametrize("given", [True, False])
def test_cells(kind, options, bias, batch, given, rng):
    ours, theirs = pair(kind, 3, 5, bias=bias, **options)
    x, y = both(rng.standard_normal((*batch, 3)))
    made = [both(rng.standard_normal((*batch, 5))) for _ in range(2 if kind == "LSTMCell" else 1)]
    args = [[x], [y]]
    if given:
        for i in (0, 1):
            args[i].append(tuple(m[i] for m in made) if len(made) == 2 else made[0][i])
    assert_same(ours(*args[0]), theirs(*args[1]), [(x, y), *made], (ours, theirs))


def same_error(call, *args):
    """Both libraries refuse with the same class and words."""
    with pytest.raises(Exception) as theirs:
        call(torch, torch.nn, *args)
    with pytest.raises(theirs.type) as ours:
        call(tl, nn, *args)
    words = str(theirs.value).replace("torch.", "tensorlab.").replace("'", "")
    assert words.split(".")[0] in str(ours.value).replace("'", "")


@pytest.mark.parametrize(
    "call",
    [
        lambda lib, nn: nn.LSTM(3, 4, dropout=2),
        lambda lib, nn: nn.LSTM(3, 4, bias=1),
        lambda lib, nn: nn.LSTM(3.0, 4),
        lambda lib, nn: nn.LSTM(0, 4),
        lambda lib, nn: nn.LSTM(3, 4, num_layers=0),
        lambda lib, nn: nn.LSTM(3, 4, proj_size=4),
        lambda lib, nn: nn.LSTM(3, 4, proj_size=-1),
        lambda lib, nn: nn.RNN(3, 4, nonlinearity="elu"),
        lambda lib, nn: nn.RNNBase("XYZ", 3, 4),
        lambda lib, nn: nn.GRU(3, 4)(lib.zeros(2, 5, 3, 1)),
        lambda lib, nn: nn.GRU(3, 4)(lib.zeros(5, 2, 4)),
        lambda lib, nn: nn.GRU(3, 4)(lib.zeros(5, 2, 3, dtype=lib.float64)),
        lambda lib, nn: nn.GRU(3, 4)(lib.zeros(5, 2, 3), lib.zeros(1, 3, 4)),
        lambda lib, nn: nn.GRU(3, 4)(lib.zeros(5, 2, 3), lib.zeros(1, 4)),
        lambda lib, nn: nn.LSTM(3, 4)(lib.zeros(5, 2, 3), (lib.zeros(1, 2, 4), lib.zeros(1, 2, 3))),
        lambda lib, nn: nn.LSTM(3, 4)(lib.zeros(5, 3), (lib.zeros(1, 1, 4), lib.zeros(1, 1, 4))),
        lambda lib, nn: nn.GRU(3, 4)(lib.zeros(0, 2, 3)),
        lambda lib, nn: nn.GRUCell(3, 4)(lib.zeros(2, 2, 3)),
        lambda lib, nn: nn.GRUCell(3, 4)(lib.zeros(2, 3), lib.zeros(1, 2, 4)),
        lambda lib, nn: nn.GRUCell(3, 4)(lib.zeros(2, 4)),
        lambda lib, nn: nn.GRUCell(3, 4)(lib.zeros(2, 3), lib.zeros(2, 3)),
        lambda lib, nn: nn.GRUCell(3, 4)(lib.zeros(2, 3), lib.zeros(3, 4)),
        lambda lib, nn: nn.utils.rnn.pack_padded_sequence(lib.zeros(3, 2), [1, 2]),
        lambda lib, nn: nn.utils.rnn.pack_padded_sequence(lib.zeros(3, 2), [1, 0]),
        lambda lib, nn: nn.utils.rnn.pack_padded_sequence(lib.zeros(3, 2), [1]),
        lambda lib, nn: nn.utils.rnn.pad_sequence(3),
        lambda lib, nn: nn.utils.rnn.pad_sequence([]),
        lambda lib, nn: nn.utils.rnn.pad_sequence([lib.zeros(1)], padding_side="top"),
        lambda lib, nn: nn.utils.rnn.pad_packed_sequence(
            nn.utils.rnn.pack_sequence([lib.zeros(3)]), total_length=2
        ),
    ],
)
def test_errors(call):
    same_error(call)


def test_dropout_with_one_layer_warns():
    with pytest.warns(UserWarning, match="num_layers greater than 1"):
        nn.LSTM(3, 4, dropout=0.5)


def test_lengths_beyond_the_input():
    with pytest.raises(RuntimeError, match="longest of `lengths` is 5, but the input has 3"):
        rnn.pack_padded_sequence(tl.zeros(3, 2), [5, 1])


@pytest.mark.parametrize("lengths", LENGTHS, ids=str)
@pytest.mark.parametrize("batch_first", [True, False])
@pytest.mark.parametrize("total", [None, 6])
def test_packing_and_padding(lengths, batch_first, total, rng):
    shape = (len(lengths), 5, 2) if batch_first else (5, len(lengths), 2)
    x, y = both(rng.standard_normal(shape))
    ours = rnn.pack_padded_sequence(x, lengths, batch_first, enforce_sorted=False)
    theirs = torch.nn.utils.rnn.pack_padded_sequence(y, lengths, batch_first, enforce_sorted=False)
    for a, b in zip(ours, theirs, strict=True):
        assert a.tolist() == b.tolist()
    a, n = rnn.pad_packed_sequence(ours, batch_first, -1.0, total)
    b, m = torch.nn.utils.rnn.pad_packed_sequence(theirs, batch_first, -1.0, total)
    assert n.tolist() == m.tolist() == lengths
    assert a.tolist() == b.tolist()
    (a**2).sum().backward()
    (b**2).sum().backward()
    assert x.grad.tolist() == y.grad.tolist()


def test_sequences_and_conversions():
    for side, first in itertools.product(("left", "right"), (True, False)):
        ours = rnn.pad_sequence([tl.ones(3, 2), tl.ones(1, 2)], first, 7, side)
        theirs = torch.nn.utils.rnn.pad_sequence(
            [torch.ones(3, 2), torch.ones(1, 2)], first, 7, side
        )
        assert ours.tolist() == theirs.tolist()
    parts = [tl.arange(3.0), tl.arange(1.0)]
    packed = rnn.pack_sequence(parts)
    assert packed.sorted_indices is None
    assert packed.double().data.dtype is tl.float64
    assert packed.float() is packed
    assert packed.cpu() is packed
    assert not packed.is_cuda
    padded, lengths = rnn.pad_packed_sequence(packed)
    assert [p.tolist() for p in rnn.unpad_sequence(padded, lengths)] == [p.tolist() for p in parts]
    reordered = rnn.pack_sequence(parts[::-1], enforce_sorted=False).double()
    assert reordered.unsorted_indices.tolist() == [1, 0]


def test_state_dicts_and_moves():
    layer = nn.LSTM(3, 4, bidirectional=True)
    theirs = torch.nn.LSTM(3, 4, bidirectional=True)
    layer.load_state_dict({k: tl.from_numpy(v.numpy()) for k, v in theirs.state_dict().items()})
    assert list(layer.state_dict()) == list(theirs.state_dict())
    assert layer.all_weights[0][0].tolist() == theirs.all_weights[0][0].tolist()
    layer.double().flatten_parameters()
    assert layer(tl.zeros(2, 1, 3, dtype=tl.float64))[0].dtype is tl.float64
    layer.weight_hh_l0 = nn.Parameter(tl.zeros(16, 4, dtype=tl.float64))
    assert layer.all_weights[0][1] is layer.weight_hh_l0
