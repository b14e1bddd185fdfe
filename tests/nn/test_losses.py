"""Every loss and distance as PyTorch has it: values, gradients of both orders, weights, dtypes, forms, errors."""

from __future__ import annotations

import itertools
import warnings

import numpy as np
import pytest

import tensorlab as tl
from tensorlab import nn

torch = pytest.importorskip("torch", reason="PyTorch is the oracle of these tests")

REDUCTIONS = ["mean", "sum", "none"]
DTYPES = [np.float32, np.float64]


def tolerance_of(dtype):
    return 2e-5 if dtype == np.float32 else 1e-8


class Draw:
    """Random inputs of losses."""

    def __init__(self, rng, dtype=np.float32):
        self.rng = rng
        self.dtype = dtype

    def normal(self, *shape):
        return self.rng.standard_normal(shape).astype(self.dtype)

    def probability(self, *shape):
        return self.rng.uniform(0.02, 0.98, shape).astype(self.dtype)

    def positive(self, *shape):
        return self.rng.uniform(0.3, 3, shape).astype(self.dtype)

    def sign(self, *shape):
        """-1 and 1, as whole numbers: losses have no gradient by them."""
        return self.rng.choice([-1, 1], shape)

    def shape(self):
        return tuple(self.rng.integers(1, 5, self.rng.integers(0, 4)))

    def classes(self, count, *shape):
        return self.rng.integers(0, count, shape)

    def distribution(self, *shape):
        x = self.positive(*shape)
        return x / x.sum(1 if len(shape) > 1 else 0, keepdims=True)


@pytest.fixture(params=DTYPES, ids=["float32", "float64"])
def draw(request, rng):
    return Draw(rng, request.param)


# Pairs of one shape -----------------------------------------------------------------------

# The module, its function, options drawn anew in every run, and how input and target are drawn.
PAIRS = {
    "L1Loss": ("l1_loss", {}, "normal", "normal"),
    "MSELoss": ("mse_loss", {}, "normal", "normal"),
    "SmoothL1Loss": ("smooth_l1_loss", {"beta": (0.0, 0.3, 1.0, 2.5)}, "normal", "normal"),
    "HuberLoss": ("huber_loss", {"delta": (0.3, 1.0, 2.5)}, "normal", "normal"),
    "SoftMarginLoss": ("soft_margin_loss", {}, "normal", "sign"),
    "HingeEmbeddingLoss": ("hinge_embedding_loss", {"margin": (0.5, 1.0, 2.0)}, "normal", "sign"),
    "BCELoss": ("binary_cross_entropy", {}, "probability", "probability"),
    "BCEWithLogitsLoss": ("binary_cross_entropy_with_logits", {}, "normal", "probability"),
    "PoissonNLLLoss": (
        "poisson_nll_loss", {"log_input": (True,), "full": (True, False)}, "normal", "positive",
    ),
    "KLDivLoss": ("kl_div", {"log_target": (True, False)}, "normal", "probability"),
}  # fmt: skip


@pytest.fixture(autouse=True)
def _kl_div_warns_of_mean():
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "reduction: 'mean' divides the total loss", UserWarning)
        yield


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("name", PAIRS)
def test_pairs(name, reduction, draw, agree, compare):
    function, choices, first, second = PAIRS[name]
    for _ in range(3):
        given = {k: draw.rng.choice(v).item() for k, v in choices.items()} | {
            "reduction": reduction
        }
        shape = draw.shape()
        x, y = getattr(draw, first)(*shape), getattr(draw, second)(*shape)

        def call(lib, x, y, o=given):
            return getattr(lib.nn.functional, function)(x, y, **o)

        agree(call, x, y, tolerance=tolerance_of(draw.dtype))
    if draw.dtype == np.float32:
        compare(lambda lib: getattr(lib, name)(**given), x, y, tolerance=2e-5)
        compare(lambda lib: getattr(lib, name)(), x, y, tolerance=2e-5)


@pytest.mark.parametrize("name", ["l1_loss", "mse_loss", "smooth_l1_loss", "huber_loss"])
def test_other_shapes_are_broadcast_with_a_warning(name, draw, agree):
    def call(lib, x, y):
        with pytest.warns(UserWarning, match=r"Using a target size \(.*Size\(\[3\]\)\)"):
            return getattr(lib.nn.functional, name)(x, y)

    agree(call, draw.normal(2, 3), draw.normal(3), tolerance=tolerance_of(draw.dtype))


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("name", ["l1_loss", "mse_loss", "huber_loss"])
def test_weighted_regression(name, reduction, draw, agree):
    agree(
        lambda lib, x, y, w: getattr(lib.nn.functional, name)(x, y, reduction=reduction, weight=w),
        draw.normal(3, 2), draw.normal(3, 2), draw.positive(3, 2), tolerance=tolerance_of(draw.dtype),
    )  # fmt: skip


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("shape", [(4, 3), (3,), (4, 1), ()])
@pytest.mark.parametrize("name", ["BCELoss", "BCEWithLogitsLoss"])
def test_binary_weights(name, shape, reduction, draw, agree, compare):
    function = PAIRS[name][0]
    x = draw.probability(4, 3) if name == "BCELoss" else 5 * draw.normal(4, 3)
    y, weights, positive = draw.probability(4, 3), draw.positive(*shape), draw.positive(3)

    def options(lib):
        made = {"weight": lib.tensor(weights), "reduction": reduction}
        if name == "BCEWithLogitsLoss":
            made["pos_weight"] = lib.tensor(positive)
        return made

    agree(
        lambda lib, x, y: getattr(lib.nn.functional, function)(x, y, **options(lib)),
        x, y, tolerance=tolerance_of(draw.dtype),
    )  # fmt: skip
    if draw.dtype == np.float32:
        compare(lambda lib: getattr(lib, name)(**options(tl if lib is nn else torch)), x, y)


def test_pos_weight_alone(draw, agree):
    p = draw.positive(3)
    agree(
        lambda lib, x, y: lib.nn.functional.binary_cross_entropy_with_logits(
            x, y, pos_weight=lib.tensor(p)
        ),
        draw.normal(4, 3), draw.probability(4, 3), tolerance=tolerance_of(draw.dtype),
    )  # fmt: skip


def test_logits_do_not_overflow():
    x = tl.tensor([1e4, -1e4], requires_grad=True)
    loss = nn.BCEWithLogitsLoss(reduction="none")(x, tl.tensor([0.0, 1.0]))
    assert loss.tolist() == [1e4, 1e4]
    scores = tl.tensor([[1e4, 0.0]], requires_grad=True)
    loss = nn.CrossEntropyLoss()(scores, tl.tensor([1]))
    loss.backward()
    assert loss.item() == 1e4
    assert scores.grad.tolist() == [[1.0, -1.0]]


def test_certain_mistakes_cost_100():
    x = tl.tensor([0.0, 1.0, 1.0], requires_grad=True)
    y = torch.tensor([0.0, 1.0, 1.0], requires_grad=True)
    target = [1.0, 0.0, 1.0]
    ours = nn.functional.binary_cross_entropy(x, tl.tensor(target), reduction="sum")
    theirs = torch.nn.functional.binary_cross_entropy(y, torch.tensor(target), reduction="sum")
    assert ours.item() == theirs.item() == 200
    ours.backward()
    theirs.backward()
    np.testing.assert_allclose(x.grad.tolist(), y.grad.tolist())


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_poisson_without_logarithm(full, reduction, draw, agree):
    agree(
        lambda lib, x, y: lib.nn.functional.poisson_nll_loss(
            x, y, log_input=False, full=full, eps=1e-3, reduction=reduction
        ),
        draw.positive(4, 3), draw.positive(4, 3), tolerance=tolerance_of(draw.dtype),
    )  # fmt: skip


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("shape", [(4, 3), (4, 1), (4,)])
def test_gaussian_nll(shape, full, reduction, draw, agree, compare):
    x, y, var = draw.normal(4, 3), draw.normal(4, 3), draw.positive(*shape)
    var.reshape(-1)[0] = 1e-9  # below eps
    slack = 1e-4 if draw.dtype == np.float32 else 1e-8
    agree(
        lambda lib, *a: lib.nn.functional.gaussian_nll_loss(*a, full=full, reduction=reduction, eps=1e-2),
        x, y, var, tolerance=slack,
    )  # fmt: skip
    if draw.dtype == np.float32:
        how = {"full": full, "reduction": reduction, "eps": 0.1}
        compare(lambda lib: lib.GaussianNLLLoss(**how), x, y, var, tolerance=slack)
        compare(lambda lib: lib.GaussianNLLLoss(), x, y, 0.7)


@pytest.mark.parametrize("log_target", [False, True])
def test_kl_div_by_batch(log_target, draw, agree, compare):
    x, y = draw.normal(4, 3), draw.distribution(4, 3)
    agree(
        lambda lib, x, y: lib.nn.functional.kl_div(
            x, y, reduction="batchmean", log_target=log_target
        ),
        x, y, tolerance=tolerance_of(draw.dtype),
    )  # fmt: skip
    if draw.dtype == np.float32:
        compare(lambda lib: lib.KLDivLoss(reduction="batchmean", log_target=log_target), x, y)


def test_kl_div_of_impossible_targets():
    y = [[1.0, 0.0], [0.5, 0.5]]
    x = [[-0.5, -1.0], [-0.7, -0.7]]
    results = [
        lib.nn.functional.kl_div(lib.tensor(x), lib.tensor(y), reduction="none").tolist()
        for lib in (tl, torch)
    ]
    np.testing.assert_allclose(*results, rtol=1e-6)
    with pytest.warns(UserWarning, match="aligns with the KL div math definition"):
        nn.functional.kl_div(tl.tensor(x), tl.tensor(y))


# Classes ----------------------------------------------------------------------------------

CLASS_SHAPES = [((8, 5), (8,)), ((5,), ()), ((4, 5, 3, 2), (4, 3, 2)), ((2, 5, 3), (2, 3))]


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize(("shape", "target"), CLASS_SHAPES)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(
    ("name", "smoothing"), [("NLLLoss", 0), ("CrossEntropyLoss", 0), ("CrossEntropyLoss", 0.2)]
)
def test_class_numbers(name, smoothing, weighted, shape, target, reduction, draw, agree, compare):
    y = draw.classes(5, *target)
    weights = draw.positive(5)
    ignored = int(draw.rng.choice([-100, 3]))
    if ignored < 0 and y.ndim:
        y[draw.rng.random(y.shape) < 0.3] = ignored
        y.reshape(-1)[0] = 1  # at least one that counts

    def options(lib):
        made = {"reduction": reduction, "ignore_index": ignored}
        if weighted:
            made["weight"] = lib.tensor(weights)
        if name == "CrossEntropyLoss":
            made["label_smoothing"] = smoothing
        return made

    function = "nll_loss" if name == "NLLLoss" else "cross_entropy"
    x = draw.normal(*shape)
    agree(
        lambda lib, x: getattr(lib.nn.functional, function)(x, lib.tensor(y), **options(lib)),
        x, tolerance=tolerance_of(draw.dtype),
    )  # fmt: skip
    if draw.dtype == np.float32:
        compare(lambda lib: getattr(lib, name)(**options(tl if lib is nn else torch)), x, y)


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("shape", [(6, 5), (5,), (2, 5, 3)])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_class_probabilities(shape, smoothing, reduction, draw, agree, compare):
    x, y, w = draw.normal(*shape), draw.distribution(*shape), draw.positive(5)
    agree(
        lambda lib, *a: lib.nn.functional.cross_entropy(*a, reduction=reduction, label_smoothing=smoothing),
        x, y, w, tolerance=tolerance_of(draw.dtype),
    )  # fmt: skip
    if draw.dtype == np.float32:
        compare(
            lambda lib: lib.CrossEntropyLoss(reduction=reduction, label_smoothing=smoothing), x, y
        )


def test_odd_targets():
    """What counts nothing, one class number in a row of its own, and bytes."""
    F, G = nn.functional, torch.nn.functional
    for name in ("nll_loss", "cross_entropy"):
        scores = tl.zeros(2, 3, requires_grad=True)
        loss = getattr(F, name)(scores, tl.tensor([-100, -100]))
        assert np.isnan(loss.item())
        loss.backward()
        assert scores.grad.tolist() == [[0.0] * 3] * 2
        for reduction in REDUCTIONS:
            ours = getattr(F, name)(tl.arange(3.0), tl.tensor([1]), reduction=reduction)
            theirs = getattr(G, name)(torch.arange(3.0), torch.tensor([1]), reduction=reduction)
            np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=1e-6)
        ours = getattr(F, name)(tl.ones(2, 3), tl.tensor([0, 2], dtype=tl.uint8))
        theirs = getattr(G, name)(torch.ones(2, 3), torch.tensor([0, 2], dtype=torch.uint8))
        np.testing.assert_allclose(ours.item(), theirs.item(), rtol=1e-6)
    empty = F.cross_entropy(tl.zeros(0, 3), tl.zeros(0, 3))
    assert np.isnan(empty.item())


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("features", [(), (2,), (2, 3)])
def test_linear_cross_entropy(features, reduction, draw, agree, compare):
    y = draw.classes(5, 4, *features)
    weights = draw.positive(5)
    given = {"reduction": reduction, "label_smoothing": 0.1}
    agree(
        lambda lib, x, w, b: lib.nn.functional.linear_cross_entropy(
            x, w, lib.tensor(y), linear_bias=b, weight=lib.tensor(weights), **given
        ),
        draw.normal(4, 3), draw.normal(5, *features, 3), draw.normal(5, *features),
        tolerance=tolerance_of(draw.dtype),
    )  # fmt: skip
    if draw.dtype == np.float32:
        for bias in (False, True):
            compare(
                lambda lib, b=bias: lib.LinearCrossEntropyLoss(
                    3, 5, out_features=features, bias=b, ignore_index=2, reduction=reduction
                ),
                draw.normal(4, 3), y,
            )  # fmt: skip
    with pytest.raises(NotImplementedError, match="leave options out"):
        nn.functional.linear_cross_entropy(
            tl.ones(1, 2), tl.ones(3, 2), tl.tensor([0]), options="chunked"
        )


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("p", [1, 2])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("shape", [(6, 5), (5,)])
def test_multi_margin(shape, weighted, p, reduction, draw, agree, compare):
    y, weights = draw.classes(5, *shape[:-1]), draw.positive(5)

    def options(lib):
        made = {"p": p, "margin": 0.7, "reduction": reduction}
        return made | ({"weight": lib.tensor(weights)} if weighted else {})

    x = draw.normal(*shape)
    agree(
        lambda lib, x: lib.nn.functional.multi_margin_loss(x, lib.tensor(y.tolist()), **options(lib)),
        x, tolerance=tolerance_of(draw.dtype),
    )  # fmt: skip
    if draw.dtype == np.float32:
        compare(lambda lib: lib.MultiMarginLoss(**options(tl if lib is nn else torch)), x, y)


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("shape", [(6, 5), (5,)])
def test_multilabel_margin(shape, reduction, draw, agree, compare):
    y = draw.rng.integers(-1, 5, shape)
    x = draw.normal(*shape)
    agree(
        lambda lib, x: lib.nn.functional.multilabel_margin_loss(
            x, lib.tensor(y.tolist()), reduction=reduction
        ),
        x, tolerance=tolerance_of(draw.dtype),
    )  # fmt: skip
    if draw.dtype == np.float32:
        compare(lambda lib: lib.MultiLabelMarginLoss(reduction=reduction), x, y)


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("shape", [(6, 5), (5,), (2, 3, 5)])
def test_multilabel_soft_margin(shape, reduction, draw, agree, compare):
    x, y, w = draw.normal(*shape), draw.probability(*shape), draw.positive(5)
    agree(
        lambda lib, *a: lib.nn.functional.multilabel_soft_margin_loss(*a, reduction=reduction),
        x, y, w, tolerance=tolerance_of(draw.dtype),
    )  # fmt: skip
    if draw.dtype == np.float32:
        compare(lambda lib: lib.MultiLabelSoftMarginLoss(reduction=reduction), x, y)


# Several inputs ---------------------------------------------------------------------------


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_margin_ranking(reduction, draw, agree, compare):
    a, b, y = draw.normal(4, 3), draw.normal(4, 3), draw.sign(4, 3)
    given = {"margin": 0.4, "reduction": reduction}
    agree(
        lambda lib, *x: lib.nn.functional.margin_ranking_loss(*x, **given),
        a, b, y.astype(draw.dtype), tolerance=tolerance_of(draw.dtype),
    )  # fmt: skip
    if draw.dtype == np.float32:
        compare(lambda lib: lib.MarginRankingLoss(**given), a, b, y)


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("shape", [(6, 3), (3,)])
def test_cosine_embedding(shape, reduction, draw, agree, compare):
    a, b, y = draw.normal(*shape), draw.normal(*shape), draw.sign(*shape[:-1])
    given = {"margin": 0.2, "reduction": reduction}
    agree(
        lambda lib, a, b: lib.nn.functional.cosine_embedding_loss(a, b, lib.tensor(y.tolist()), **given),
        a, b, tolerance=tolerance_of(draw.dtype),
    )  # fmt: skip
    if draw.dtype == np.float32:
        compare(lambda lib: lib.CosineEmbeddingLoss(**given), a, b, np.asarray(y))


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("swap", [False, True])
@pytest.mark.parametrize("p", [1.0, 2.0, 3.0])
def test_triplet_margin(p, swap, reduction, draw, agree, compare):
    triple = [draw.normal(6, 3) for _ in range(3)]
    given = {"margin": 0.8, "p": p, "swap": swap, "reduction": reduction}
    agree(
        lambda lib, *x: lib.nn.functional.triplet_margin_loss(*x, **given),
        *triple, tolerance=tolerance_of(draw.dtype),
    )  # fmt: skip
    given.pop("p")

    def squared(x, y):
        return ((x - y) ** 2).sum(-1)

    for distance in (None, squared):
        agree(
            lambda lib, *x, d=distance: lib.nn.functional.triplet_margin_with_distance_loss(
                *x, distance_function=d, **given
            ),
            *triple, tolerance=5 * tolerance_of(draw.dtype),
        )  # fmt: skip
    if draw.dtype == np.float32:
        compare(lambda lib: lib.TripletMarginLoss(p=p, **given), *triple)
        compare(lambda lib: lib.TripletMarginWithDistanceLoss(**given), *triple)
        compare(
            lambda lib: lib.TripletMarginWithDistanceLoss(
                distance_function=lib.PairwiseDistance(p=3), **given
            ),
            *triple,
        )


@pytest.mark.parametrize("dim", [0, 1, -1])
@pytest.mark.parametrize("shapes", [((4, 3, 2), (4, 3, 2)), ((4, 3, 2), (3, 1)), ((2, 2), (2, 2))])
def test_cosine_similarity(shapes, dim, draw, agree, compare):
    a, b = (draw.normal(*s) for s in shapes)
    a.reshape(-1)[0] = 0
    agree(
        lambda lib, a, b: lib.nn.functional.cosine_similarity(a, b, dim=dim, eps=1e-3),
        a, b, tolerance=10 * tolerance_of(draw.dtype),
    )  # fmt: skip
    if draw.dtype == np.float32:
        compare(lambda lib: lib.CosineSimilarity(dim, eps=1e-4), a, b)
    short = [lib.cosine_similarity(lib.zeros(2, 3), lib.ones(2, 3)).tolist() for lib in (tl, torch)]
    assert short[0] == short[1]


def test_short_vectors_keep_pytorchs_slope(draw, agree):
    """Below `eps` the length is replaced in the value, but not in the slope."""
    a = (1e-3 * draw.normal(4, 3)).astype(draw.dtype)
    agree(
        lambda lib, a, b: lib.cosine_similarity(a, b, eps=0.5),
        a, draw.normal(4, 3), tolerance=10 * tolerance_of(draw.dtype),
    )  # fmt: skip


@pytest.mark.parametrize("p", [1.0, 2.0, 3.5, float("inf")])
@pytest.mark.parametrize("keepdim", [False, True])
def test_pairwise_distance(p, keepdim, draw, agree, compare):
    for shapes in [((4, 3), (4, 3)), ((4, 3), (3,)), ((3,), (3,)), ((2, 4, 3), (4, 1))]:
        a, b = (draw.normal(*s) for s in shapes)
        agree(
            lambda lib, a, b: lib.nn.functional.pairwise_distance(a, b, p, 1e-3, keepdim),
            a, b, tolerance=5 * tolerance_of(draw.dtype),
        )  # fmt: skip
        if draw.dtype == np.float32:
            compare(lambda lib: lib.PairwiseDistance(p, 1e-4, keepdim), a, b)


@pytest.mark.parametrize("p", [0.0, 1.0, 2.0, 3.5, float("inf")])
def test_pdist(p, draw, agree):
    for rows in (1, 2, 5):
        x = draw.normal(rows, 3)
        agree(lambda lib, x: lib.nn.functional.pdist(x, p), x, tolerance=tolerance_of(draw.dtype))


# Sequences --------------------------------------------------------------------------------


def ctc_case(draw, blank):
    """Scores, labels and lengths of a random batch; some targets cannot be reached."""
    rng = draw.rng
    time, count, classes, longest = 9, 4, 5, 4
    labels = [c for c in range(classes) if c != blank]
    targets = rng.choice(labels, (count, longest))
    targets[0] = labels[0]  # repetitions need blanks between them
    frames = rng.integers(5, time + 1, count)
    lengths = rng.integers(0, longest + 1, count)
    lengths[0], frames[0] = longest, 2 * longest - 1
    frames[1], lengths[1] = 2, longest  # more labels than frames
    frames[2], lengths[2] = time, 0
    return draw.normal(time, count, classes), targets, frames, lengths


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("blank", [0, 2])
@pytest.mark.parametrize("layout", ["rows", "one after the other"])
def test_ctc(layout, blank, reduction, draw, agree, compare):
    x, targets, frames, lengths = ctc_case(draw, blank)
    if layout != "rows":
        targets = np.concatenate([row[:n] for row, n in zip(targets, lengths, strict=True)])
    given = {"blank": blank, "reduction": reduction, "zero_infinity": True}

    def call(lib, x):
        scores = lib.nn.functional.log_softmax(x, 2)
        rest = (targets, frames, lengths)
        if layout == "rows":
            return lib.nn.functional.ctc_loss(
                scores, *(lib.tensor(r.tolist()) for r in rest), **given
            )
        return lib.nn.functional.ctc_loss(
            scores, lib.tensor(targets.tolist()), tuple(frames.tolist()), tuple(lengths.tolist()), **given
        )  # fmt: skip

    # PyTorch has no second gradient, and says so.
    agree(call, x, tolerance=2e-5, second=False)
    if draw.dtype == np.float32:
        scores = torch.tensor(x).log_softmax(2).numpy()
        compare(lambda lib: lib.CTCLoss(**given), scores, targets, frames, lengths, tolerance=1e-4)


def test_ctc_of_targets_out_of_reach(draw):
    x, targets, frames, lengths = ctc_case(draw, 0)
    results = []
    for lib in (tl, torch):
        scores = lib.tensor(x.tolist(), requires_grad=True)
        loss = lib.nn.functional.ctc_loss(
            lib.log_softmax(scores, 2),
            *(lib.tensor(v.tolist()) for v in (targets, frames, lengths)), reduction="none",
        )  # fmt: skip
        loss.sum().backward()
        results.append((loss.tolist(), scores.grad.numpy()))
    np.testing.assert_allclose(results[0][0], results[1][0], rtol=1e-5)
    np.testing.assert_allclose(results[0][1], results[1][1], rtol=1e-3, atol=1e-4)
    assert np.isinf(results[0][0][1])
    assert np.isnan(results[0][1]).any()


@pytest.mark.parametrize("frames", [0, 6])
def test_ctc_of_a_single_sample(frames, draw):
    x = draw.normal(6, 4)
    for labels, length in (([1, 2], 2), ([], 0)):
        results = []
        for lib in (tl, torch):
            scores = lib.log_softmax(lib.tensor(x.tolist()), 1)
            target = lib.tensor(labels, dtype=lib.int64)
            for lengths in ((lib.tensor(frames), lib.tensor(length)), ((frames,), (length,))):
                loss = lib.nn.functional.ctc_loss(scores, target, *lengths, reduction="none")
            results.append(loss.numpy())
        assert results[0].shape == results[1].shape == ()
        np.testing.assert_allclose(*results, rtol=1e-5)


def test_ctc_is_the_sum_over_all_paths(rng):
    """The definition itself, on a case that is small enough for it."""
    scores = tl.log_softmax(tl.from_numpy(rng.standard_normal((5, 1, 3))), 2)
    p, target = scores.exp().numpy()[:, 0], [1, 2]
    total = 0.0
    for path in itertools.product(range(3), repeat=5):
        kept = [c for c, before in zip(path, (None, *path), strict=False) if c != before]
        if [c for c in kept if c] == target:
            total += np.prod([p[t, c] for t, c in enumerate(path)])
    loss = nn.functional.ctc_loss(scores, tl.tensor([target]), (5,), (2,), reduction="sum")
    np.testing.assert_allclose(loss.item(), -np.log(total), rtol=1e-9)


def test_ctc_has_no_second_gradient(same_error):
    def twice(lib):
        x = lib.zeros(4, 1, 3, requires_grad=True)
        loss = lib.nn.functional.ctc_loss(lib.log_softmax(x, 2), lib.tensor([[1, 2]]), (4,), (2,))
        (g,) = lib.autograd.grad(loss, x, create_graph=True)
        lib.autograd.grad(g.square().sum(), x)

    assert "twice" in same_error(twice)


# Adaptive softmax -------------------------------------------------------------------------


@pytest.mark.parametrize("head_bias", [False, True])
@pytest.mark.parametrize("cutoffs", [[4], [3, 8], [2, 5, 10]])
def test_adaptive_log_softmax(cutoffs, head_bias, rng, compare):
    y = rng.integers(0, 12, 16)

    def make(lib):
        return lib.AdaptiveLogSoftmaxWithLoss(9, 12, cutoffs, div_value=2.0, head_bias=head_bias)

    x = rng.standard_normal((16, 9)).astype(np.float32)
    compare(make, x, y)
    layer = compare(make, x[0], np.array(y[0])).cpu()
    compare(make, x, np.zeros(16, np.int64))  # no cluster takes part
    other = make(torch.nn)
    other.load_state_dict({k: torch.tensor(v.numpy()) for k, v in layer.state_dict().items()})
    log_p = layer.log_prob(tl.from_numpy(x))
    expected = other.log_prob(torch.tensor(x))
    np.testing.assert_allclose(log_p.detach().numpy(), expected.detach().numpy(), rtol=1e-4, atol=1e-5)  # fmt: skip
    np.testing.assert_allclose(log_p.exp().sum(1).tolist(), np.ones(16), rtol=1e-4)
    assert layer.predict(tl.from_numpy(x)).tolist() == other.predict(torch.tensor(x)).tolist()
    assert log_p.argmax(1).tolist() == layer.predict(tl.from_numpy(x)).tolist()
    result = layer(tl.from_numpy(x), tl.from_numpy(y))
    assert result._fields == ("output", "loss")
    np.testing.assert_allclose(
        result.output.tolist(), log_p.detach().numpy()[range(16), y], rtol=1e-4, atol=1e-5
    )
    before = layer.head.weight.tolist()
    layer.reset_parameters()
    assert layer.head.weight.tolist() != before


# Reductions, buffers, errors --------------------------------------------------------------

OLD_FLAGS = [(a, r) for a in (None, True, False) for r in (None, True, False)][1:]


@pytest.mark.parametrize(("size_average", "reduce"), OLD_FLAGS)
def test_old_flags(size_average, reduce):
    x, y = [1.0, 2.0], [0.0, 4.0]
    results = []
    for lib in (tl, torch):
        with pytest.warns(UserWarning, match="size_average and reduce args will be deprecated"):
            module = lib.nn.MSELoss(size_average, reduce)
        with pytest.warns(UserWarning, match="size_average and reduce args will be deprecated"):
            loss = lib.nn.functional.margin_ranking_loss(
                lib.tensor(x), lib.tensor(y), lib.tensor([1.0, -1.0]), 0.5, size_average, reduce
            )
        results.append((module.reduction, loss.tolist()))
    assert results[0] == results[1]


def test_a_deprecated_reduction():
    with pytest.warns(UserWarning, match="reduction='elementwise_mean' is deprecated"):
        assert nn.functional.mse_loss(tl.ones(2), tl.zeros(2), reduction="elementwise_mean") == 1


def test_the_old_name_of_nll_loss():
    reprs = []
    for lib in (tl, torch):
        with pytest.warns(FutureWarning, match="NLLLoss"):
            reprs.append(repr(lib.nn.NLLLoss2d(reduction="sum")))
    assert reprs[0] == reprs[1]
    with pytest.warns(FutureWarning):
        loss = nn.NLLLoss2d()
    assert loss(tl.zeros(1, 2, 1, 1), tl.zeros(1, 1, 1, dtype=tl.int64)).item() == 0


def test_weights_are_buffers():
    for name in ("CrossEntropyLoss", "NLLLoss", "BCELoss", "MultiMarginLoss", "MultiLabelSoftMarginLoss"):  # fmt: skip
        loss = getattr(nn, name)(weight=tl.ones(3))
        assert list(loss.state_dict()) == ["weight"]
        assert list(getattr(nn, name)().state_dict()) == []
        assert loss.double().weight.dtype is tl.float64


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_whole_numbers(reduction, same_error):
    """They have an absolute error, and its mean is none."""
    ours = nn.functional.l1_loss(tl.tensor([1, 5]), tl.tensor([3, 4]), reduction="sum")
    assert ours.dtype is tl.int64
    assert ours.item() == 3
    for name in ("mse_loss", "smooth_l1_loss", "huber_loss", "kl_div"):
        same_error(
            lambda lib, n=name: getattr(lib.nn.functional, n)(
                lib.tensor([1, 5]), lib.tensor([3, 4]), reduction=reduction
            )
        )
    for name in ("mse_loss", "smooth_l1_loss", "huber_loss", "l1_loss", "soft_margin_loss"):
        kinds = [
            getattr(lib.nn.functional, name)(lib.ones(2), lib.tensor([1, 1]), reduction=reduction)
            for lib in (tl, torch)
        ]
        assert str(kinds[0].dtype)[9:] == str(kinds[1].dtype)[5:] or name == "l1_loss"


@pytest.mark.parametrize(
    "name", ["huber_loss", "soft_margin_loss", "mse_loss", "smooth_l1_loss", "l1_loss"]
)
def test_mixed_precision(name):
    for kinds in (("float32", "float64"), ("float64", "float32"), ("float16", "float32")):
        found = []
        for lib in (tl, torch):
            x, y = (lib.ones(2, dtype=getattr(lib, kind)) for kind in kinds)
            found.append(str(getattr(lib.nn.functional, name)(x, y).dtype).split(".")[1])
        assert found[0] == found[1]


def _call(name, *shapes, **options):
    """A call of a loss on ones; whole numbers stand for class targets."""

    def call(lib):
        arguments = [
            lib.ones(s) if isinstance(s, tuple) else lib.tensor(s) if isinstance(s, list) else s
            for s in shapes
        ]
        given = {
            k: lib.ones(v) if k.endswith("weight") and v is not None else v
            for k, v in options.items()
        }
        return getattr(lib.nn.functional, name)(*arguments, **given)

    return call


CTC = ((6, 2, 4), [[1, 2], [3, 3]])
ERRORS = [
    _call("mse_loss", (2,), (2,), reduction="average"),
    _call("mse_loss", (2,), (2,), weight=(3,)),
    _call("l1_loss", (2,), (2,), weight=(3,)),
    _call("huber_loss", (2,), (2,), weight=(3,)),
    _call("huber_loss", (2,), (2,), delta=0.0),
    _call("smooth_l1_loss", (2,), (2,), beta=-1.0),
    _call("soft_margin_loss", (2, 3), (2,)),
    _call("kl_div", (2,), (2,), reduction="average"),
    _call("poisson_nll_loss", (2,), (2,), reduction="average"),
    _call("gaussian_nll_loss", (2, 3), (2, 3), (3,)),
    _call("gaussian_nll_loss", (2, 3), (2, 3), -1.0),
    _call("gaussian_nll_loss", (2, 3), (2, 3), 2),
    _call("gaussian_nll_loss", (2, 3), (2, 3), (2, 3), reduction="average"),
    lambda lib: lib.nn.functional.gaussian_nll_loss(lib.ones(2), lib.ones(2), -lib.ones(2)),
    _call("binary_cross_entropy", (2,), (3,)),
    _call("binary_cross_entropy", (2, 3), (2, 3), weight=(2,)),
    _call("binary_cross_entropy", (2, 3), (2, 3), weight=(4, 2, 3)),
    _call("binary_cross_entropy", (2,), (2,), weight=(2,), reduction="average"),
    lambda lib: lib.nn.functional.binary_cross_entropy(2 * lib.ones(2), lib.ones(2)),
    lambda lib: lib.nn.functional.binary_cross_entropy(lib.ones(2), 2 * lib.ones(2)),
    lambda lib: lib.nn.functional.binary_cross_entropy(lib.ones(2), lib.ones(2).double()),
    lambda lib: lib.nn.functional.binary_cross_entropy(
        lib.ones(2), lib.ones(2), lib.ones(2, requires_grad=True)
    ),
    _call("binary_cross_entropy_with_logits", (2,), (3,)),
    _call("binary_cross_entropy_with_logits", (2, 3), (2, 3), weight=(4, 2, 3)),
    _call("binary_cross_entropy_with_logits", (2, 3), (2, 3), pos_weight=(2,)),
    lambda lib: lib.nn.functional.binary_cross_entropy_with_logits(
        lib.ones(2), lib.ones(2), pos_weight=lib.ones(2, requires_grad=True)
    ),
    _call("nll_loss", (), []),
    _call("nll_loss", (2, 3), (2,)),
    _call("nll_loss", (2, 3), [0, 1, 1]),
    _call("nll_loss", (2, 3, 2), [[0, 1]]),
    _call("nll_loss", (2, 3, 2), [[0], [1]]),
    _call("nll_loss", (2, 3, 2), [0, 1]),
    _call("nll_loss", (2, 3), [[0], [1]]),
    _call("nll_loss", (3,), [0, 1]),
    _call("nll_loss", (2, 3), [0, 3]),
    _call("nll_loss", (2, 3), [0, -1]),
    _call("nll_loss", (2, 3), [0, 1], weight=(2,)),
    _call("nll_loss", (2, 3), [0, 1], weight=(1, 3)),
    lambda lib: lib.nn.functional.nll_loss(
        lib.ones(2, 3), lib.tensor([0, 1]), lib.ones(3, requires_grad=True)
    ),
    lambda lib: lib.nn.functional.nll_loss(
        lib.ones(2, 3), lib.tensor([0, 1]), lib.ones(3).double()
    ),
    lambda lib: lib.nn.functional.nll_loss(lib.ones(2, 3), lib.tensor([0, 1], dtype=lib.int32)),
    lambda lib: lib.nn.functional.nll_loss(lib.ones(2, 3).long(), lib.tensor([0, 1])),
    _call("cross_entropy", (2, 3), (2,)),
    _call("cross_entropy", (2, 3), (2, 3), ignore_index=1),
    _call("cross_entropy", (2, 3), (2, 3), weight=(2,)),
    _call("cross_entropy", (2, 3), [0, 1], label_smoothing=1.5),
    _call("cross_entropy", (2, 3), [[0, 1, 1], [0, 1, 1]]),
    lambda lib: lib.nn.functional.cross_entropy(
        lib.ones(2, 3), lib.tensor([0, 1]), lib.ones(3, requires_grad=True)
    ),
    _call("linear_cross_entropy", (2, 3, 1), (5, 3), [0, 1]),
    _call("linear_cross_entropy", (2, 3), (5,), [0, 1]),
    _call("linear_cross_entropy", (2, 3), (5, 4), [0, 1]),
    _call("linear_cross_entropy", (2, 3), (5, 3), [0, 1], linear_bias=torch.ones(4)),
    _call("linear_cross_entropy", (3,), (5, 2, 3), [0, 1]),
    _call("linear_cross_entropy", (2, 3), (5, 3), (2, 5), ignore_index=0),
    lambda lib: lib.nn.LinearCrossEntropyLoss(3, 5, weight=lib.ones(4)),
    lambda lib: lib.nn.LinearCrossEntropyLoss(3, 5, label_smoothing=2),
    _call("multi_margin_loss", (2, 3), [0, 3]),
    _call("multi_margin_loss", (2, 3), [0]),
    _call("multi_margin_loss", (2, 3), [[0, 1]]),
    _call("multi_margin_loss", (2, 3, 4), [0, 1]),
    _call("multi_margin_loss", (2, 0), [0, 1]),
    _call("multi_margin_loss", (2, 3), [0, 1], weight=(2,)),
    _call("multi_margin_loss", (2, 3), [0, 1], weight=(3, 1)),
    _call("multi_margin_loss", (2, 3), [0, 1], p=3),
    _call("multi_margin_loss", (2, 3), (2,)),
    lambda lib: lib.nn.MultiMarginLoss(p=3),
    lambda lib: lib.nn.MultiMarginLoss(weight=lib.ones(1, 3)),
    _call("multilabel_margin_loss", (2, 3), [[0, 3, -1], [2, -1, -1]]),
    _call("multilabel_margin_loss", (2, 3), [[0, -2, -1], [2, -1, -1]]),
    _call("multilabel_margin_loss", (2, 3), [[0, 1], [2, -1]]),
    _call("multilabel_margin_loss", (2, 3, 4), [0, 1]),
    _call("multilabel_margin_loss", (2, 3), (2, 3)),
    _call("multilabel_soft_margin_loss", (2, 3), (2, 3), reduction="average"),
    _call("margin_ranking_loss", (2, 3), (2, 3), (3,)),
    _call("cosine_embedding_loss", (2, 3), (2, 3), [1, 1, 1]),
    _call("cosine_embedding_loss", (3,), (3,), [1]),
    _call("cosine_embedding_loss", (2, 3, 1), (2, 3, 1), [1, 1]),
    _call("cosine_embedding_loss", (2, 3), (2, 4), [1, 1]),
    _call("cosine_embedding_loss", (2, 3), (2, 3), [[1, 1]]),
    _call("triplet_margin_loss", (2, 3), (2, 3), (3,)),
    _call("triplet_margin_loss", (2, 3), (2, 3), (2, 3), margin=0),
    _call("triplet_margin_with_distance_loss", (2, 3), (2, 3), (3,)),
    _call("triplet_margin_with_distance_loss", (2, 3), (2, 3), (2, 3), margin=-1),
    _call("triplet_margin_with_distance_loss", (2, 3), (2, 3), (2, 3), reduction="average"),
    lambda lib: lib.nn.TripletMarginLoss(margin=0),
    lambda lib: lib.nn.TripletMarginWithDistanceLoss(margin=0),
    lambda lib: lib.nn.HuberLoss(delta="1"),
    _call("cosine_similarity", (2, 3), (2, 4)),
    _call("cosine_similarity", (2, 3), (2, 3), dim=2),
    _call("cosine_similarity", [[1]], [[2]]),
    _call("pairwise_distance", (2, 4), (2, 3)),
    _call("pdist", (3,)),
    _call("pdist", (3, 3), -1.0),
    _call("ctc_loss", *CTC, (6, 6), (2, 2), blank=4),
    _call("ctc_loss", *CTC, (6,), (2, 2)),
    _call("ctc_loss", *CTC, (6, 6), (2,)),
    _call("ctc_loss", *CTC, (7, 6), (2, 2)),
    _call("ctc_loss", *CTC, (-1, 6), (2, 2)),
    _call("ctc_loss", *CTC, (6, 6), (3, 2)),
    _call("ctc_loss", *CTC, (6, 6), (-1, 2)),
    _call("ctc_loss", (6, 2, 4), [1, 2, 3], (6, 6), (2, 2)),
    _call("ctc_loss", (6, 2, 4), [[1, 2]], (6, 6), (2, 2)),
    _call("ctc_loss", (6, 2, 4), [[[1, 2], [1, 2]]], (6, 6), (2, 2)),
    _call("ctc_loss", (6, 0, 4), [[1, 2]], (), ()),
    _call("ctc_loss", *CTC, (6, 6), (2, 2), reduction="average"),
    _call("ctc_loss", *CTC, [6.0, 6.0], [2, 2]),
    lambda lib: lib.nn.AdaptiveLogSoftmaxWithLoss(4, 10, []),
    lambda lib: lib.nn.AdaptiveLogSoftmaxWithLoss(4, 10, [5, 3]),
    lambda lib: lib.nn.AdaptiveLogSoftmaxWithLoss(4, 10, [3, 3]),
    lambda lib: lib.nn.AdaptiveLogSoftmaxWithLoss(4, 10, [10]),
    lambda lib: lib.nn.AdaptiveLogSoftmaxWithLoss(4, 10, [0, 3]),
    lambda lib: lib.nn.AdaptiveLogSoftmaxWithLoss(4, 10, [3])(lib.ones(2, 4), lib.tensor([1])),
    lambda lib: lib.nn.AdaptiveLogSoftmaxWithLoss(4, 10, [3])(lib.ones(2, 4), lib.tensor(1)),
    lambda lib: lib.nn.AdaptiveLogSoftmaxWithLoss(4, 10, [3])(lib.ones(4), lib.tensor([1])),
    lambda lib: lib.nn.AdaptiveLogSoftmaxWithLoss(4, 10, [3])(lib.ones(1, 4), lib.tensor([[1]])),
    lambda lib: lib.nn.AdaptiveLogSoftmaxWithLoss(4, 10, [3])(lib.ones(1, 4), lib.tensor([10])),
]


@pytest.mark.parametrize("call", ERRORS)
def test_errors(call, same_error):
    assert same_error(call)
