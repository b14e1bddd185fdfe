"""Lesson 06, data and training: batches, the step, evaluation, clipping, and going on after Stop.

What the functions do to a model is judged from outside: by models that note how they were called,
by a training step worked out with NumPy alone, and by runs that must repeat bit for bit.
"""

from __future__ import annotations

import copy
import random
from itertools import pairwise

import numpy as np

import tensorlab as tl
from tensorlab import nn, optim
from tensorlab.learn import (
    Case,
    Exercise,
    Failure,
    Lesson,
    MilestoneResult,
    alternative,
    as_array,
    compare,
    mutant,
)
from tensorlab.vision.datasets import Digits

lesson = Lesson("06", "data_and_training", title="Data and training")


# 06.1 · Batches -----------------------------------------------------------------------------


@lesson.exercise("06.1", names=["make_batches"], title="Batches of indices, in a new order")
class MakeBatches(Exercise):
    """The order is random, so what is judged are the facts that hold for every random order."""

    hints = (
        "tl.randperm(n) is every number from 0 to n - 1 once, in a random order. tl.arange(n) "
        "is the same without the randomness.",
        "Make the whole order first. Then cut it: the batch that begins at place i is "
        "order[i:i + batch_size]. Which places do batches begin at?",
        "order = tl.randperm(n).tolist() if shuffle else list(range(n)); then "
        "[order[i:i + batch_size] for i in range(0, n, batch_size)].",
    )

    def cases(self, rng):
        for n, size in [(6, 2), (7, 3), (5, 1), (4, 9), (1, 1), (0, 4)]:
            yield Case((n, size, False), label=f"{n} samples in batches of {size}, in order")
        for n, size in [(60, 10), (61, 8), (64, 64), (50, 1), (0, 4)]:
            yield Case((n, size, True), label=f"{n} samples in batches of {size}, shuffled")
        n, size = int(rng.integers(100, 200)), int(rng.integers(3, 30))
        yield Case((n, size, False), label="a random size, in order")
        yield Case((n, size, True), label="a random size, shuffled")

    def call(self, ns, case):
        n, size, shuffle = case.args

        def epoch():
            batches = ns["make_batches"](n, size, shuffle=shuffle)
            return [[int(i) for i in as_array(batch).ravel()] for batch in batches]

        tl.manual_seed(n)
        first, second = epoch(), epoch()
        random.random()  # someone else draws numbers, elsewhere
        np.random.random()
        tl.manual_seed(n)
        again = epoch()
        return facts_of(n, size, first, second, again)

    def expected(self, n, batch_size, shuffle):
        starts = range(0, n, batch_size)
        facts = {
            "sizes": [min(batch_size, n - i) for i in starts],
            "indices": list(range(n)),
        }
        if not shuffle:
            facts["batches"] = [list(range(n))[i : i + batch_size] for i in starts]
        elif n:
            facts |= {"order": "shuffled", "epochs": "different", "same seed": "same order"}
        return facts

    def judge(self, case, got, want):
        n, size, shuffle = case.args
        if got["indices"] != want["indices"]:
            counts = np.bincount([i for i in got["indices"] if 0 <= i < n], minlength=n)
            outside = [i for i in got["indices"] if not 0 <= i < n]
            if outside:
                text = f"index {outside[0]} is no sample: there are {n}, counted from 0"
            elif (counts == 0).any():
                more = int((counts == 0).sum())
                text = f"{more} of {n} samples are in no batch; the first is {int(counts.argmin())}"
            else:
                text = f"sample {int(counts.argmax())} is in the batches {counts.max()} times"
            return Failure(f"One epoch must read every sample exactly once, but {text}.")
        if got["sizes"] != want["sizes"]:
            return Failure(
                f"Wrong sizes: {n} samples in batches of {size} are batches of {want['sizes']}, "
                f"yours have {got['sizes']}.",
                expected=want["sizes"],
                got=got["sizes"],
            )
        if not shuffle:
            if got["batches"] != want["batches"]:
                return Failure(
                    "Without shuffle, the samples come in their own order: 0, 1, 2, and so on.",
                    expected=want["batches"],
                    got=got["batches"],
                )
            return None
        for fact, sentence in SHUFFLED.items():
            if fact in want and got[fact] != want[fact]:
                return Failure(sentence[got[fact]], expected=want[fact], got=got[fact])
        return None

    @mutant("You shuffle the batches, not the samples: the same pictures always meet.")
    def shuffles_the_batches(n, batch_size, shuffle=False):
        batches = [list(range(i, min(i + batch_size, n))) for i in range(0, n, batch_size)]
        if not shuffle:
            return batches
        full = [b for b in batches if len(b) == batch_size]
        order = tl.randperm(len(full)).tolist()
        return [full[i] for i in order] + [b for b in batches if len(b) < batch_size]

    @mutant("You shuffle inside each batch, so batch 0 always holds the same first samples.")
    def shuffles_inside(n, batch_size, shuffle=False):
        batches = [list(range(i, min(i + batch_size, n))) for i in range(0, n, batch_size)]
        if not shuffle:
            return batches
        return [[b[i] for i in tl.randperm(len(b)).tolist()] for b in batches]

    @mutant(
        "You draw each index anew, with randint: some samples come twice and others never. A "
        "permutation has every one once."
    )
    def draws_with_replacement(n, batch_size, shuffle=False):
        order = tl.randint(0, max(n, 1), (n,)).tolist() if shuffle else list(range(n))
        return [order[i : i + batch_size] for i in range(0, n, batch_size)]

    @mutant(
        "You leave out the last batch when it is smaller. Its samples would rarely be read, and "
        "without shuffle never: range(0, n, batch_size) begins one more batch."
    )
    def drops_the_rest(n, batch_size, shuffle=False):
        order = tl.randperm(n).tolist() if shuffle else list(range(n))
        return [order[i * batch_size : (i + 1) * batch_size] for i in range(n // batch_size)]

    @mutant(
        "You set a seed inside the function, so every epoch comes in the same order. The caller "
        "sets the seed, once, before training."
    )
    def seeds_inside(n, batch_size, shuffle=False):
        tl.manual_seed(0)
        order = tl.randperm(n).tolist() if shuffle else list(range(n))
        return [order[i : i + batch_size] for i in range(0, n, batch_size)]

    @mutant(
        "You draw from Python's random module: tl.manual_seed does not reach it, so your run can't "
        "be repeated. Use tl.randperm."
    )
    def another_generator(n, batch_size, shuffle=False):
        order = list(range(n))
        if shuffle:
            random.shuffle(order)
        return [order[i : i + batch_size] for i in range(0, n, batch_size)]

    @mutant(
        "You begin at a random place and go round from there: the same neighbours always meet. "
        "A permutation mixes all of them."
    )
    def begins_somewhere(n, batch_size, shuffle=False):
        start = int(tl.randint(0, max(n, 1), ()).item()) if shuffle else 0
        order = [(start + i) % n for i in range(n)]
        return [order[i : i + batch_size] for i in range(0, n, batch_size)]

    @mutant("You never look at shuffle: the order is the same with and without it.")
    def never_shuffles(n, batch_size, shuffle=False):
        return [list(range(i, min(i + batch_size, n))) for i in range(0, n, batch_size)]

    @mutant("You shuffle even when you are not asked to: evaluation wants the plain order.")
    def always_shuffles(n, batch_size, shuffle=False):
        order = tl.randperm(n).tolist()
        return [order[i : i + batch_size] for i in range(0, n, batch_size)]

    @alternative("yields one batch after the other, as tensors")
    def yields_tensors(n, batch_size, shuffle=False):
        order = tl.randperm(n) if shuffle else tl.arange(n)
        for start in range(0, n, batch_size):
            yield order[start : start + batch_size]

    @alternative("sorts random numbers and keeps their places")
    def sorts_random_numbers(n, batch_size, shuffle=False):
        keys = tl.rand(n, dtype=tl.float64).numpy()
        order = np.argsort(keys, kind="stable") if shuffle else np.arange(n)
        return [order[i : i + batch_size].tolist() for i in range(0, n, batch_size)]

    @alternative("fills a batch, one index at a time")
    def fills_up(n, batch_size, shuffle=False):
        batches, batch = [], []
        for i in tl.randperm(n).tolist() if shuffle else range(n):
            batch.append(i)
            if len(batch) == batch_size:
                batches.append(batch)
                batch = []
        return [*batches, batch] if batch else batches


SHUFFLED = {
    "order": {
        "0, 1, 2, ...": "With shuffle=True, the samples still come in their own order.",
        "the batches are whole": "With shuffle=True, the batches come in a new order, but each "
        "holds the neighbours that it would hold without. Every sample may meet any other.",
        "neighbours follow each other": "With shuffle=True, most samples still come right after "
        "their neighbour. Every order must be possible, not just another beginning.",
        "mixed in place": "With shuffle=True, the samples change places only inside their batch. "
        "Every sample may be in any batch.",
    },
    "epochs": {
        "the same": "Two epochs, one after the other, came in the same order. Draw a new one each "
        "time."
    },
    "same seed": {
        "another order": "After the same tl.manual_seed(...), the order should be the same again. "
        "Where do your random numbers come from?"
    },
}


def facts_of(n, size, first, second, again):
    """What can be said about the epochs of a random order."""
    flat = [i for batch in first for i in batch]
    plain = [list(range(i, min(i + size, n))) for i in range(0, n, size)]
    order = "shuffled"
    if flat == list(range(n)):
        order = "0, 1, 2, ..."
    elif size > 1 and len(plain) > 1:
        if sorted(map(sorted, first)) == plain and [sorted(b) for b in first] == plain:
            order = "mixed in place"
        elif sorted(first) == plain:
            order = "the batches are whole"
    # In a random order an index is followed by its neighbour about once in an epoch.
    if order == "shuffled" and sum(b - a == 1 for a, b in pairwise(flat)) > max(n // 2, 10):
        order = "neighbours follow each other"
    return {
        "sizes": [len(batch) for batch in first],
        "indices": sorted(flat),
        "batches": first,
        "order": order,
        "epochs": "the same" if first == second else "different",
        "same seed": "same order" if first == again else "another order",
    }


# 06.2 · Collate -----------------------------------------------------------------------------


@lesson.exercise("06.2", names=["collate"], title="From samples to a batch")
class Collate(Exercise):
    hints = (
        "The batch has one dimension more than a sample: 32 pictures of shape (1, 8, 8) are one "
        "tensor of shape (32, 1, 8, 8). Which function adds a dimension and lays tensors along it?",
        "tl.stack([...]) for the pictures. The labels are plain ints: tl.tensor([...]).",
        "images = tl.stack([image for image, label in samples]); "
        "labels = tl.tensor([label for image, label in samples]).",
    )

    def cases(self, rng):
        for batch, shape, dtype in [
            (3, (2,), np.float32),
            (1, (3,), np.float32),
            (2, (1, 2, 2), np.float32),
            (1, (1, 2, 2), np.float64),
            (4, (1, 3), np.float64),
            (5, (1, 8, 8), np.float32),
            (3, (), np.float32),
            (2, (2, 0), np.float32),
        ]:
            samples = [
                (rng.standard_normal(shape).astype(dtype), int(label))
                for label in rng.integers(0, 10, batch)
            ]
            named = "×".join(map(str, shape)) or "a single number"
            yield Case((samples,), label=f"{batch} of {named}, {np.dtype(dtype)}")

    def call(self, ns, case):
        (samples,) = case.args
        result = ns["collate"]([(tl.tensor(image), label) for image, label in samples])
        return tuple(result) if isinstance(result, list) else result

    def expected(self, samples):
        images, labels = zip(*samples, strict=True)
        return np.stack(images), np.array(labels, np.int64)

    def judge(self, case, got, want):
        if isinstance(got, tuple) and len(got) == 2:
            for what, value in zip(("images", "labels"), got, strict=True):
                if not isinstance(value, tl.Tensor):
                    return Failure(
                        f"The {what} must be one tensor, got {type(value).__name__}.",
                        expected="a tensor",
                        got=type(value).__name__,
                    )
                found = compare(as_array(value), want[what == "labels"], where=f"the {what}")
                if found:
                    return found
            return None
        return compare(got, want)

    @mutant(
        "You join the pictures along a dimension that they have already (cat). A batch is a new "
        "dimension in front: stack."
    )
    def concatenates(samples):
        return tl.cat([x for x, _ in samples]), tl.tensor([y for _, y in samples])

    @mutant(
        "You squeeze the batch: with a single picture, or one channel, dimensions of size 1 are "
        "lost that the network counts on."
    )
    def squeezes(samples):
        return tl.stack([x for x, _ in samples]).squeeze(), tl.tensor([y for _, y in samples])

    @mutant(
        "You lay the new dimension last. Every layer takes the first dimension for the batch: "
        "tl.stack does so when you leave dim away."
    )
    def stacks_last(samples):
        return tl.stack([x for x, _ in samples], -1), tl.tensor([y for _, y in samples])

    @mutant(
        "Your labels are floats. They are class numbers, which the loss uses as indices: keep ints."
    )
    def labels_as_floats(samples):
        labels = tl.tensor([float(y) for _, y in samples])
        return tl.stack([x for x, _ in samples]), labels

    @mutant("Your labels have shape (N, 1); one class number for each picture has shape (N,).")
    def labels_as_a_column(samples):
        return tl.stack([x for x, _ in samples]), tl.tensor([[y] for _, y in samples])

    @mutant(
        "You sort the labels (or put them in a set): label i no longer belongs to picture i, and "
        "no error will tell you."
    )
    def sorts_the_labels(samples):
        return tl.stack([x for x, _ in samples]), tl.tensor(sorted(y for _, y in samples))

    @mutant("You turn every picture into float32. A batch keeps the dtype of its samples.")
    def always_float32(samples):
        images = tl.stack([x for x, _ in samples]).float()
        return images, tl.tensor([y for _, y in samples])

    @alternative("unzips the pairs")
    def unzips(samples):
        images, labels = zip(*samples, strict=True)
        return tl.stack(images), tl.tensor(labels)

    @alternative("fills an empty batch, row by row")
    def fills(samples):
        first = samples[0][0]
        images = tl.empty((len(samples), *first.shape), dtype=first.dtype)
        labels = tl.empty(len(samples), dtype=tl.int64)
        for i, (image, label) in enumerate(samples):
            images[i] = image
            labels[i] = label
        return images, labels

    @alternative("adds the dimension to each picture, then joins along it; labels like PyTorch's")
    def joins_with_a_new_dimension(samples):
        images = tl.cat([x.unsqueeze(0) for x, _ in samples])
        return [images, tl.as_tensor([y for _, y in samples])]


# 06.3 · One step ----------------------------------------------------------------------------


def softmax_step(weight, bias, velocity, images, labels, lr, momentum):
    """One step of SGD with momentum on softmax regression, by hand: (loss, gradients, new)."""
    scores = images @ weight.T + bias
    scores = scores - scores.max(axis=1, keepdims=True)
    probabilities = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    right = (np.arange(len(labels)), labels)
    loss = -np.log(probabilities[right]).mean()
    probabilities[right] -= 1
    probabilities /= len(labels)
    gradients = (probabilities.T @ images, probabilities.sum(axis=0))
    velocity = tuple(momentum * v + g for v, g in zip(velocity, gradients, strict=True))
    weight, bias = weight - lr * velocity[0], bias - lr * velocity[1]
    return loss, gradients, (weight, bias, velocity)


@lesson.exercise("06.3", names=["train_step"], title="One step of training")
class TrainStep(Exercise):
    hints = (
        "Five things happen, each once: old gradients away, the model's answer, the loss, the "
        "gradients, the step. Say them in order before you write them.",
        "optimizer.zero_grad(), then loss = loss_fn(model(images), labels), then loss.backward(). "
        "Between backward and optimizer.step() the gradients are there to be looked at.",
        "After loss.backward(): if before_step is not None: before_step(); then optimizer.step(). "
        "Return loss.item(), a plain number: the tensor would keep the whole graph alive.",
    )
    rtol, atol = 1e-6, 1e-9

    def cases(self, rng):
        for steps, momentum, watched, dirty in [
            (1, 0.0, False, False),
            (1, 0.0, True, False),
            (2, 0.0, False, False),
            (3, 0.9, True, False),
            (1, 0.0, False, True),
            (2, 0.5, True, True),
        ]:
            size, inputs, classes = (int(i) for i in rng.integers(2, 5, 3))
            data = {
                "weight": rng.standard_normal((classes, inputs)),
                "bias": rng.standard_normal(classes),
                "images": rng.standard_normal((steps, size, inputs)),
                "labels": rng.integers(0, classes, (steps, size)),
                "momentum": momentum,
            }
            label = f"{steps} step{'s' * (steps > 1)}"
            label += ", momentum" if momentum else ""
            label += ", with before_step" if watched else ""
            label += ", old gradients left over" if dirty else ""
            yield Case((data, watched, dirty), label=label, size=steps * 10 + watched + dirty)

    def call(self, ns, case):
        data, watched, dirty = case.args
        model = nn.Linear(data["weight"].shape[1], data["weight"].shape[0], dtype=tl.float64)
        with tl.no_grad():
            model.weight.copy_(tl.tensor(data["weight"]))
            model.bias.copy_(tl.tensor(data["bias"]))
        optimizer = optim.SGD(model.parameters(), lr=0.1, momentum=data["momentum"])
        if dirty:
            for p in model.parameters():
                p.grad = tl.ones_like(p)
        seen = {"losses": [], "watched": [], "gradients": [], "moved": []}
        asked, measured, cross_entropy = [], [], nn.CrossEntropyLoss()
        model.register_forward_pre_hook(lambda module, args: asked.append(module.training))

        def loss_fn(scores, labels):
            measured.append(len(labels))
            return cross_entropy(scores, labels)

        def watch():
            seen["watched"].append(len(seen["losses"]) + 1)
            grads = [
                None if p.grad is None else as_array(p.grad).copy() for p in model.parameters()
            ]
            seen["gradients"].append(grads)
            seen["moved"].append(bool((as_array(model.weight) != before).any()))

        for images, labels in zip(data["images"], data["labels"], strict=True):
            before = as_array(model.weight).copy()
            loss = ns["train_step"](
                model,
                optimizer,
                loss_fn,
                tl.tensor(images),
                tl.tensor(labels),
                **({"before_step": watch} if watched else {}),
            )
            if isinstance(loss, tl.Tensor) and loss.requires_grad:
                return {"loss": "tensor with graph"}
            seen["losses"].append(loss)
        return {
            **seen,
            "weight": as_array(model.weight),
            "bias": as_array(model.bias),
            "asked": len(asked),
            "in training mode": all(asked) and model.training,
            "measured": bool(measured),
        }

    def expected(self, data, watched, dirty):
        weight, bias = data["weight"], data["bias"]
        velocity = (np.zeros_like(weight), np.zeros_like(bias))
        seen = {"losses": [], "watched": [], "gradients": [], "moved": []}
        for i, (images, labels) in enumerate(zip(data["images"], data["labels"], strict=True)):
            loss, gradients, (weight, bias, velocity) = softmax_step(
                weight, bias, velocity, images, labels, 0.1, data["momentum"]
            )
            seen["losses"].append(float(loss))
            if watched:
                seen["watched"].append(i + 1)
                seen["gradients"].append(list(gradients))
                seen["moved"].append(False)
        return {**seen, "weight": weight, "bias": bias}

    def judge(self, case, got, want):
        if got.get("loss") == "tensor with graph":
            return Failure(
                "You return the loss as a tensor with its graph. A list of such losses keeps "
                "every graph of the epoch in memory: return a number.",
                expected="a float",
                got="a tensor that requires grad",
            )
        if got["watched"] != want["watched"]:
            times = len(got["watched"])
            return Failure(
                f"before_step was called {times} times in {len(want['watched'])} steps; it should "
                "be called once in each.",
                expected=f"{len(want['watched'])} calls",
                got=f"{times} calls",
            )
        if any(got["moved"]):
            return Failure(
                "When before_step was called, the weights had moved already: it must come "
                "before optimizer.step().",
                expected="weights as before the step",
                got="weights after the step",
            )
        if any(g is None for grads in got["gradients"] for g in grads):
            return Failure(
                "When before_step was called, there were no gradients: it must come after "
                "loss.backward().",
                expected="gradients",
                got="None",
            )
        for i, (mine, theirs) in enumerate(zip(want["gradients"], got["gradients"], strict=True)):
            found = compare(theirs, mine, rtol=self.rtol, atol=self.atol)
            if found:
                found.message = f"In step {i + 1}, before_step saw wrong gradients: {found.message}"
                found.expected, found.got = mine, theirs
                return found
        for what in ("losses", "weight", "bias"):
            name = "the returned losses" if what == "losses" else f"model.{what} afterwards"
            found = compare(got[what], want[what], rtol=self.rtol, atol=self.atol, where=name)
            if found:
                found.expected, found.got = want[what], got[what]
                return found
        steps = len(want["losses"])
        if not got["measured"]:
            return Failure(
                "The numbers are right, but loss_fn was never called. The caller says which loss "
                "it is; this time it happened to be yours.",
                expected="a call of loss_fn",
                got="none",
            )
        if not got["in training mode"]:
            return Failure(
                "The numbers are right, but you put the model into evaluation mode: a network with "
                "dropout would train without it.",
                expected="training mode",
                got="evaluation mode",
            )
        if got["asked"] != steps:
            return Failure(
                f"The numbers are right, but in {steps} step{'s' * (steps > 1)} the model was "
                f"called {got['asked']} times. Once in each is enough, and with dropout a second "
                "answer is another one.",
                expected=f"{steps} call{'s' * (steps > 1)} of the model",
                got=f"{got['asked']} calls",
            )
        return None

    @mutant(
        "You never clear the gradients: backward *adds* to .grad, so every step also repeats all "
        "the steps before."
    )
    def forgets_zero_grad(model, optimizer, loss_fn, images, labels, before_step=None):
        loss = loss_fn(model(images), labels)
        loss.backward()
        if before_step is not None:
            before_step()
        optimizer.step()
        return loss.item()

    @mutant(
        "You clear the gradients between backward and step: the optimizer finds nothing and the "
        "weights never move."
    )
    def clears_too_late(model, optimizer, loss_fn, images, labels, before_step=None):
        loss = loss_fn(model(images), labels)
        loss.backward()
        if before_step is not None:
            before_step()
        optimizer.zero_grad()
        optimizer.step()
        return loss.item()

    @mutant(
        "You clear the gradients right after backward computed them: before_step sees none, the "
        "optimizer finds none, and the weights never move."
    )
    def clears_what_it_computed(model, optimizer, loss_fn, images, labels, before_step=None):
        loss = loss_fn(model(images), labels)
        loss.backward()
        optimizer.zero_grad()
        if before_step is not None:
            before_step()
        optimizer.step()
        return loss.item()

    @mutant("You step before you go backward, so the step uses gradients of the batch before.")
    def steps_first(model, optimizer, loss_fn, images, labels, before_step=None):
        loss = loss_fn(model(images), labels)
        optimizer.step()
        optimizer.zero_grad()
        loss.backward()
        if before_step is not None:
            before_step()
        return loss.item()

    @mutant(
        "You clear the gradients only after the step. What was left over from before your first "
        "step still counts in it."
    )
    def clears_at_the_end(model, optimizer, loss_fn, images, labels, before_step=None):
        loss = loss_fn(model(images), labels)
        loss.backward()
        if before_step is not None:
            before_step()
        optimizer.step()
        optimizer.zero_grad()
        return loss.item()

    @mutant("You return the loss tensor. It holds on to the whole graph: return loss.item().")
    def returns_the_tensor(model, optimizer, loss_fn, images, labels, before_step=None):
        optimizer.zero_grad()
        loss = loss_fn(model(images), labels)
        loss.backward()
        if before_step is not None:
            before_step()
        optimizer.step()
        return loss

    @mutant("You call before_step before backward: there are no gradients yet to look at.")
    def watches_too_early(model, optimizer, loss_fn, images, labels, before_step=None):
        optimizer.zero_grad()
        loss = loss_fn(model(images), labels)
        if before_step is not None:
            before_step()
        loss.backward()
        optimizer.step()
        return loss.item()

    @mutant("You call before_step after the step: too late to change the gradients.")
    def watches_too_late(model, optimizer, loss_fn, images, labels, before_step=None):
        optimizer.zero_grad()
        loss = loss_fn(model(images), labels)
        loss.backward()
        optimizer.step()
        if before_step is not None:
            before_step()
        return loss.item()

    @mutant("You never call before_step.")
    def never_watches(model, optimizer, loss_fn, images, labels, before_step=None):
        optimizer.zero_grad()
        loss = loss_fn(model(images), labels)
        loss.backward()
        optimizer.step()
        return loss.item()

    @mutant(
        "You measure the loss again after the step and return that one. It is the loss of a batch "
        "that was just learned, and it costs a second forward pass."
    )
    def loss_after_the_step(model, optimizer, loss_fn, images, labels, before_step=None):
        optimizer.zero_grad()
        loss_fn(model(images), labels).backward()
        if before_step is not None:
            before_step()
        optimizer.step()
        return loss_fn(model(images), labels).item()

    @mutant(
        "You train in evaluation mode: dropout is off, and it is there for training. Leave the "
        "mode to the caller."
    )
    def trains_in_eval(model, optimizer, loss_fn, images, labels, before_step=None):
        model.eval()
        optimizer.zero_grad()
        loss = loss_fn(model(images), labels)
        loss.backward()
        if before_step is not None:
            before_step()
        optimizer.step()
        return loss.item()

    @mutant("You use a loss of your own. The caller hands you loss_fn: call that one.")
    def own_loss(model, optimizer, loss_fn, images, labels, before_step=None):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(images), labels)
        loss.backward()
        if before_step is not None:
            before_step()
        optimizer.step()
        return loss.item()

    @mutant(
        "You ask the model twice, once for the gradients and once for the number. Keep the loss "
        "of the first answer; with dropout, the second is another one."
    )
    def asks_twice(model, optimizer, loss_fn, images, labels, before_step=None):
        optimizer.zero_grad()
        loss_fn(model(images), labels).backward()
        loss = loss_fn(model(images), labels).item()
        if before_step is not None:
            before_step()
        optimizer.step()
        return loss

    @alternative("clears the gradients right before backward")
    def clears_before_backward(model, optimizer, loss_fn, images, labels, before_step=None):
        loss = loss_fn(model(images), labels)
        optimizer.zero_grad()
        loss.backward()
        if before_step:
            before_step()
        optimizer.step()
        return float(loss.detach())

    @alternative("clears them through the model, and sets training mode")
    def clears_through_the_model(model, optimizer, loss_fn, images, labels, before_step=None):
        model.train()
        model.zero_grad()
        scores = model(images)
        loss = loss_fn(scores, labels)
        loss.backward()
        if before_step is not None:
            before_step()
        optimizer.step()
        return loss.item()

    @alternative("asks autograd for the gradients and hangs them on the parameters")
    def asks_autograd(model, optimizer, loss_fn, images, labels, before_step=None):
        parameters = list(model.parameters())
        loss = loss_fn(model(images), labels)
        for p, g in zip(parameters, tl.autograd.grad(loss, parameters), strict=True):
            p.grad = g
        if before_step is not None:
            before_step()
        optimizer.step()
        return loss.item()


# 06.4 · Accuracy ----------------------------------------------------------------------------


class Probe(nn.Module):
    """A classifier that notes how it is called. In training mode it answers something else."""

    def __init__(self, classes):
        super().__init__()
        self.inner = nn.Dropout(0.5)
        self.classes = classes
        self.scale = nn.Parameter(tl.ones(()))
        self.calls = []

    def forward(self, images):
        # An image is its own answer: pixel 0 holds the class that the network reads.
        answer = as_array(images).reshape(len(images), -1)[:, 0].astype(int)
        if self.training or self.inner.training:
            answer = (answer + 1) % self.classes
        self.calls.append(
            ("training" if self.training or self.inner.training else "evaluation",
             "graph" if tl.is_grad_enabled() else "no graph")
        )  # fmt: skip
        scores = np.full((len(images), self.classes), -1.0, np.float32)
        scores[np.arange(len(images)), answer] = 2.0
        return tl.tensor(scores) * self.scale


@lesson.exercise("06.4", names=["accuracy"], title="Accuracy, in evaluation mode")
class Accuracy(Exercise):
    hints = (
        "The network answers with ten scores for each picture. Its reading is the place of the "
        "largest: scores.argmax(dim=1). Compare with the labels and count.",
        "model.eval() before, and afterwards back to the mode that it was in: model.training "
        "tells which. No gradients are wanted: with tl.no_grad().",
        "was_training = model.training; model.eval(); count right answers and samples over all "
        "batches inside tl.no_grad(); model.train(was_training); return right / total.",
    )
    rtol, atol = 1e-9, 1e-9

    def cases(self, rng):
        for sizes, training in [
            ((1,), True),
            ((3,), False),
            ((4, 1), True),
            ((2, 2, 1), False),
            ((5, 5, 2), True),
            ((16, 16, 3), False),
        ]:
            classes = int(rng.integers(3, 11))
            labels = [rng.integers(0, classes, n) for n in sizes]
            answers = [label.copy() for label in labels]
            if len(sizes) > 1:
                # Different shares of right answers, so that a mean of means is not the mean.
                wrong = (labels[0] + 1) % classes
                answers[0] = np.where(np.arange(sizes[0]) < (sizes[0] + 1) // 2, wrong, labels[0])
            batches = list(zip(answers, labels, strict=True))
            mode = "training" if training else "evaluation"
            yield Case(
                (batches, classes, mode),
                label=f"batches of {', '.join(map(str, sizes))}; a model in {mode} mode",
            )

    def call(self, ns, case):
        batches, classes, mode = case.args
        model = Probe(classes)
        model.train(mode == "training")
        shown = []
        for answers, labels in batches:
            images = np.zeros((len(answers), 1, 2, 2), np.float32)
            images[:, 0, 0, 0] = answers
            shown.append((tl.tensor(images), tl.tensor(labels)))
        # A caller that trains has gradients on, one that only evaluates may have them off.
        with tl.set_grad_enabled(mode == "training"):
            value = ns["accuracy"](model, shown)
            gradients = tl.is_grad_enabled() == (mode == "training")
        calls = sorted(set(model.calls))
        after = "training" if model.training else "evaluation"
        if model.inner.training != model.training:
            after = "mixed"
        as_before = "as before" if gradients else "switched"
        return {"accuracy": value, "during": calls, "after": after, "gradients": as_before}

    def expected(self, batches, classes, mode):
        right = sum(int((answers == labels).sum()) for answers, labels in batches)
        total = sum(len(labels) for _, labels in batches)
        return {
            "accuracy": right / total,
            "during": [("evaluation", "no graph")],
            "after": mode,
            "gradients": "as before",
        }

    def judge(self, case, got, want):
        modes = {mode for mode, _ in got["during"]}
        if not modes:
            return Failure("The model was never called.", expected="a call per batch", got="none")
        if modes != {"evaluation"}:
            return Failure(
                "The model was asked in training mode: its dropout still throws away half of what "
                "it sees, and every answer is a lottery.",
                expected="evaluation mode",
                got="training mode",
            )
        if got["after"] != want["after"]:
            return Failure(
                f"The model came to you in {want['after']} mode and left in {got['after']} mode. "
                "Put it back as it was: the training loop counts on it.",
                expected=want["after"],
                got=got["after"],
            )
        if any(graph == "graph" for _, graph in got["during"]):
            return Failure(
                "The answers are right, but a graph was built for gradients that no one will ask "
                "for. Compute inside tl.no_grad().",
                expected="no graph",
                got="a graph",
            )
        if got["gradients"] != "as before":
            return Failure(
                "Gradients were "
                + ("on" if want["after"] == "training" else "off")
                + " before and are not afterwards. Leave them as they were: with tl.no_grad() does.",
                expected="as before",
                got="switched",
            )
        value = got["accuracy"]
        if isinstance(value, tl.Tensor):
            return Failure(
                "Return a plain number, not a tensor.", expected="a float", got=repr(value)
            )
        return compare(
            value, want["accuracy"], rtol=self.rtol, atol=self.atol, where="the accuracy"
        )

    @mutant(
        "You never call model.eval(): dropout goes on, and the same model gives another number each time."
    )
    def forgets_eval(model, batches):
        right = total = 0
        with tl.no_grad():
            for images, labels in batches:
                right += int((as_array(model(images)).argmax(1) == as_array(labels)).sum())
                total += len(labels)
        return right / total

    @mutant(
        "You leave the model in evaluation mode: from the second epoch on, it trains without dropout."
    )
    def leaves_it_in_eval(model, batches):
        model.eval()
        right = total = 0
        with tl.no_grad():
            for images, labels in batches:
                right += int((as_array(model(images)).argmax(1) == as_array(labels)).sum())
                total += len(labels)
        return right / total

    @mutant(
        "You always leave the model in training mode, even if it came in evaluation mode. Ask "
        "model.training first."
    )
    def always_back_to_training(model, batches):
        model.eval()
        right = total = 0
        with tl.no_grad():
            for images, labels in batches:
                right += int((as_array(model(images)).argmax(1) == as_array(labels)).sum())
                total += len(labels)
        model.train()
        return right / total

    @mutant(
        "You average the accuracies of the batches. The last batch is smaller, and its few "
        "pictures then count for more: count right answers and samples."
    )
    def mean_of_means(model, batches):
        was_training = model.training
        model.eval()
        with tl.no_grad():
            shares = [
                float((as_array(model(images)).argmax(1) == as_array(labels)).mean())
                for images, labels in batches
            ]
        model.train(was_training)
        return sum(shares) / len(shares)

    @mutant("You build a graph for every batch. Evaluation needs no gradients: with tl.no_grad().")
    def builds_a_graph(model, batches):
        was_training = model.training
        model.eval()
        right = total = 0
        for images, labels in batches:
            right += int((as_array(model(images)).argmax(1) == as_array(labels)).sum())
            total += len(labels)
        model.train(was_training)
        return right / total

    @mutant(
        "You switch the gradients off and on by hand. They may have been off before; and after an "
        "error they stay off. `with tl.no_grad():` puts back what was there."
    )
    def switches_by_hand(model, batches):
        was_training = model.training
        model.eval()
        tl.set_grad_enabled(False)
        right = total = 0
        for images, labels in batches:
            right += int((as_array(model(images)).argmax(1) == as_array(labels)).sum())
            total += len(labels)
        tl.set_grad_enabled(True)
        model.train(was_training)
        return right / total

    @mutant("You switch the gradients off and never on again: the next training step finds none.")
    def leaves_gradients_off(model, batches):
        was_training = model.training
        model.eval()
        tl.set_grad_enabled(False)
        right = total = 0
        for images, labels in batches:
            right += int((as_array(model(images)).argmax(1) == as_array(labels)).sum())
            total += len(labels)
        model.train(was_training)
        return right / total

    @mutant("You return how many answers are right. As a share it can be compared: divide.")
    def returns_the_count(model, batches):
        was_training = model.training
        model.eval()
        with tl.no_grad():
            right = sum(
                int((as_array(model(images)).argmax(1) == as_array(labels)).sum())
                for images, labels in batches
            )
        model.train(was_training)
        return float(right)

    @mutant("You look only at the last batch: count over all of them, then divide.")
    def last_batch_only(model, batches):
        was_training = model.training
        model.eval()
        share = 0.0
        with tl.no_grad():
            for images, labels in batches:
                share = float((as_array(model(images)).argmax(1) == as_array(labels)).mean())
        model.train(was_training)
        return share

    @alternative("joins all answers first, and puts the mode back even after an error")
    def joins_answers(model, batches):
        was_training = model.training
        model.eval()
        try:
            with tl.no_grad():
                answers = np.concatenate([as_array(model(x)).argmax(axis=1) for x, _ in batches])
        finally:
            model.train(was_training)
        labels = np.concatenate([as_array(y) for _, y in batches])
        return float((answers == labels).mean())

    @alternative("as a decorated function, with tensors throughout")
    def with_tensors(model, batches):
        @tl.no_grad()
        def count():
            right = 0
            for images, labels in batches:
                scores = model(images)
                best = scores.max(dim=1, keepdim=True).values
                picked = scores[tl.arange(len(labels)), labels]
                right += (picked == best.squeeze(1)).sum().item()
            return right

        mode = model.training
        model.train(False)
        right = count()
        model.train(mode)
        return right / sum(len(labels) for _, labels in batches)


# 06.5 · Clipping ----------------------------------------------------------------------------


@lesson.exercise("06.5", names=["clip_gradients"], title="Clip the gradients")
class ClipGradients(Exercise):
    hints = (
        "Think of all the gradients as one long vector, with one length: the root of the sum of "
        "all squares. Too long? Then every entry is scaled by the same factor.",
        "Go over the parameters twice: once to add up squares, once to scale. "
        "model.parameters() can be walked through only once, so make a list first.",
        "grads = [p.grad for p in parameters if p.grad is not None]; norm = (sum of "
        "(g ** 2).sum().item() over grads) ** 0.5; if norm > max_norm, g.mul_(max_norm / norm) "
        "for each; return norm.",
    )
    rtol, atol = 2e-5, 1e-9

    def cases(self, rng):
        for shapes, factor, dtype in [
            ([(2,)], 0.5, np.float64),
            ([(3,)], 2.0, np.float32),
            ([(2, 3), (3,)], 0.1, np.float64),
            ([(4,), None, (2, 2)], 0.3, np.float32),
            ([(2, 2), (5,)], 1.5, np.float64),
            ([(1,), (1,), (1,)], 0.9, np.float64),
            ([None], 1.0, np.float32),
            ([(3, 2), (0,)], 0.25, np.float32),
        ]:
            grads = [None if s is None else rng.standard_normal(s).astype(dtype) for s in shapes]
            norm = np.sqrt(sum((g.astype(np.float64) ** 2).sum() for g in grads if g is not None))
            max_norm = float(norm * factor) if norm else 1.0
            told = "too long" if factor < 1 else "short enough"
            label = f"{len(shapes)} parameter{'s' * (len(shapes) > 1)}, {told}"
            label += ", one without a gradient" if None in shapes else ""
            yield Case((grads, max_norm), label=label)
        yield Case(([np.zeros(3), np.zeros((2, 2))], 1.0), label="gradients of zero")
        # The same lengths shared out unevenly: what is clipped is the length of the whole.
        yield Case(([np.array([3.0]), np.array([0.4, 0.0])], 1.0), label="one large, one small")
        for generator in (True, False):
            grads = [rng.standard_normal((3, 3)), rng.standard_normal(3)]
            norm = float(np.sqrt(sum((g**2).sum() for g in grads)))
            told = "model.parameters(), a generator" if generator else "a list of parameters"
            yield Case((grads, norm / 3), label=told, data=generator)

    def call(self, ns, case):
        grads, max_norm = case.args
        parameters = []
        for g in grads:
            shape, dtype = ((1,), np.float32) if g is None else (g.shape, g.dtype)
            p = nn.Parameter(tl.tensor(np.ones(shape, dtype)))
            p.grad = None if g is None else tl.tensor(g)
            parameters.append(p)
        given = (p for p in parameters) if case.data else list(parameters)
        norm = ns["clip_gradients"](given, max_norm)
        if isinstance(norm, tl.Tensor):
            norm = norm.item()
        elif type(norm) is int:  # of no gradients at all, a sum is 0
            norm = float(norm)
        return {
            "norm": norm,
            "gradients": [None if p.grad is None else as_array(p.grad) for p in parameters],
            "weights": [as_array(p) for p in parameters],
        }

    def expected(self, parameters, max_norm):
        entries = [g.astype(np.float64).ravel() for g in parameters if g is not None]
        norm = float(np.linalg.norm(np.concatenate(entries))) if entries else 0.0
        scale = min(1.0, max_norm / norm) if norm else 1.0
        return {
            "norm": norm,
            "gradients": [None if g is None else (g * scale).astype(g.dtype) for g in parameters],
            "weights": [np.ones((1,), np.float32) if g is None else np.ones_like(g) for g in parameters],
        }  # fmt: skip

    def judge(self, case, got, want):
        rules = {"rtol": self.rtol, "atol": self.atol}
        if got["norm"] is None:
            return Failure(
                "Expected the norm before clipping, got None. Did you forget `return`?",
                expected=want["norm"],
                got=None,
            )
        for i, (mine, theirs) in enumerate(zip(want["gradients"], got["gradients"], strict=True)):
            found = compare(theirs, mine, where=f"gradient {i}", **rules)
            if found:
                found.expected, found.got = mine, theirs
                return found
        found = compare(got["norm"], want["norm"], where="the returned norm", **rules)
        found = found or compare(got["weights"], want["weights"], where="the weights", **rules)
        return found

    @mutant(
        "You clip each parameter's gradient by itself. That bends the direction of the step: the "
        "length that counts is that of all gradients together."
    )
    def one_by_one(parameters, max_norm):
        total = 0.0
        for p in parameters:
            if p.grad is not None:
                norm = float((p.grad**2).sum().item()) ** 0.5
                total += norm**2
                if norm > max_norm:
                    p.grad.mul_(max_norm / norm)
        return total**0.5

    @mutant(
        "You cut off every entry at max_norm. Then the largest entries shrink and the others "
        "don't, and the gradient points elsewhere: scale them all."
    )
    def cuts_values(parameters, max_norm):
        total = 0.0
        for p in parameters:
            if p.grad is not None:
                total += float((p.grad**2).sum().item())
                p.grad.clamp_(-max_norm, max_norm)
        return total**0.5

    @mutant(
        "You bring every gradient to length max_norm, the short ones too. A gradient that is "
        "short enough stays as it is."
    )
    def always_scales(parameters, max_norm):
        grads = [p.grad for p in parameters if p.grad is not None]
        norm = sum(float((g**2).sum().item()) for g in grads) ** 0.5
        for g in grads:
            if norm > 0:
                g.mul_(max_norm / norm)
        return norm

    @mutant(
        "You bring every gradient to length max_norm, without asking whether it is too long. The "
        "short ones stay as they are; and where all are zero, you divide by zero."
    )
    def never_asks(parameters, max_norm):
        grads = [p.grad for p in parameters if p.grad is not None]
        norm = sum(float((g**2).sum().item()) for g in grads) ** 0.5
        for g in grads:
            g.mul_(max_norm / norm)
        return norm

    @mutant(
        "You add up the lengths. Lengths add like Pythagoras says: squares first, then the root."
    )
    def adds_the_lengths(parameters, max_norm):
        grads = [p.grad for p in parameters if p.grad is not None]
        norm = sum(float((g**2).sum().item()) ** 0.5 for g in grads)
        if norm > max_norm:
            for g in grads:
                g.mul_(max_norm / norm)
        return norm

    @mutant("You forget the root: what you compare with max_norm is the square of the length.")
    def forgets_the_root(parameters, max_norm):
        grads = [p.grad for p in parameters if p.grad is not None]
        norm = sum(float((g**2).sum().item()) for g in grads)
        if norm > max_norm:
            for g in grads:
                g.mul_(max_norm / norm)
        return norm

    @mutant(
        "You walk through the parameters twice, but model.parameters() is a generator: the second "
        "time it is empty, and nothing is clipped. Make a list first."
    )
    def walks_twice(parameters, max_norm):
        norm = sum(float((p.grad**2).sum().item()) for p in parameters if p.grad is not None) ** 0.5
        if norm > max_norm:
            for p in parameters:
                if p.grad is not None:
                    p.grad.mul_(max_norm / norm)
        return norm

    @mutant(
        "Some parameters have no gradient (p.grad is None): a layer that was not used. Skip them."
    )
    def trips_over_none(parameters, max_norm):
        grads = [p.grad for p in parameters]
        norm = sum(float((g**2).sum().item()) for g in grads) ** 0.5
        if norm > max_norm:
            for g in grads:
                g.mul_(max_norm / norm)
        return norm

    @mutant("You return the norm after clipping. The one before is what tells you of trouble.")
    def returns_the_norm_after(parameters, max_norm):
        grads = [p.grad for p in parameters if p.grad is not None]
        norm = sum(float((g**2).sum().item()) for g in grads) ** 0.5
        if norm > max_norm:
            for g in grads:
                g.mul_(max_norm / norm)
        return min(norm, max_norm)

    @mutant("You scale the weights instead of the gradients.")
    def scales_the_weights(parameters, max_norm):
        parameters = [p for p in parameters if p.grad is not None]
        norm = sum(float((p.grad**2).sum().item()) for p in parameters) ** 0.5
        if norm > max_norm:
            with tl.no_grad():
                for p in parameters:
                    p.mul_(max_norm / norm)
        return norm

    @alternative("one long vector, as the definition says")
    def one_long_vector(parameters, max_norm):
        parameters = [p for p in parameters if p.grad is not None]
        if not parameters:
            return 0.0
        norm = (tl.cat([p.grad.reshape(-1) for p in parameters]) ** 2).sum().sqrt()
        scale = (max_norm / (norm + 1e-6)).clamp(max=1.0)
        for p in parameters:
            p.grad = p.grad * scale
        return norm

    @alternative("with NumPy, in float64")
    def with_numpy(parameters, max_norm):
        grads = [p.grad for p in parameters if p.grad is not None]
        norm = float(np.sqrt(sum(np.square(as_array(g), dtype=np.float64).sum() for g in grads)))
        if norm > max_norm:
            for g in grads:
                g *= max_norm / norm
        return norm

    @alternative("the real one")
    def the_real_one(parameters, max_norm):
        return nn.utils.clip_grad_norm_(parameters, max_norm)


# 06.6 · Snapshot and restore -----------------------------------------------------------------


class Small(nn.Module):
    """A network with everything that a snapshot must hold: parameters, a buffer, dropout."""

    def __init__(self, dropout, buffer):
        super().__init__()
        self.first, self.second = nn.Linear(3, 6), nn.Linear(6, 3)
        self.dropout = nn.Dropout(dropout)
        if buffer:
            self.register_buffer("mean", tl.zeros(3))

    def forward(self, x):
        if hasattr(self, "mean"):
            with tl.no_grad():
                self.mean.mul_(0.9).add_(x.mean(0), alpha=0.1)
            x = x - self.mean
        return self.second(self.dropout(self.first(x).tanh()))


OPTIMIZERS = {
    "SGD": lambda p: optim.SGD(p, lr=0.1),
    "SGD with momentum": lambda p: optim.SGD(p, lr=0.1, momentum=0.9),
    "Adam": lambda p: optim.Adam(p, lr=0.05),
}


@lesson.exercise(
    "06.6", names=["snapshot", "restore"], title="Snapshot and restore", points=2, time_limit=10
)
class SnapshotAndRestore(Exercise):
    hints = (
        "What decides the next step? The weights. The optimizer's memory. The order of the "
        "pictures and the dropout, which both come from the random generator. And history, "
        "which says how far you are. Four things.",
        "model.state_dict() and optimizer.state_dict() hand out the very tensors that training "
        "goes on to change: copy.deepcopy them. For the rest: tl.get_rng_state(), list(history).",
        "restore: model.load_state_dict(...), optimizer.load_state_dict(...), "
        "tl.set_rng_state(...), and history[:] = saved[...], which changes the caller's list.",
    )

    def cases(self, rng):
        for i, (optimizer, dropout, buffer, shuffled, fresh) in enumerate(
            [
                ("SGD", 0.0, False, False, False),
                ("SGD", 0.0, False, False, True),
                ("SGD", 0.0, True, False, True),
                ("SGD with momentum", 0.0, False, False, True),
                ("Adam", 0.0, False, False, False),
                ("SGD", 0.5, False, False, False),
                ("SGD", 0.0, False, True, True),
                ("Adam", 0.5, True, True, True),
            ]
        ):
            label = optimizer
            label += ", dropout" if dropout else ""
            label += ", a buffer" if buffer else ""
            label += ", shuffled" if shuffled else ""
            label += "; into a new model" if fresh else "; into the same model"
            data = {
                "optimizer": optimizer, "dropout": dropout, "buffer": buffer,
                "shuffled": shuffled, "fresh": fresh, "seed": int(rng.integers(1000)),
            }  # fmt: skip
            yield Case((data,), label=label, size=i)

    def call(self, ns, case):
        data = case.args[0]
        source = np.random.default_rng(data["seed"])
        images = tl.tensor(source.standard_normal((12, 3)).astype(np.float32))
        labels = tl.tensor(source.integers(0, 3, 12))
        loss_fn = nn.CrossEntropyLoss()

        def make(seed):
            tl.manual_seed(seed)
            model = Small(data["dropout"], data["buffer"])
            return model, OPTIMIZERS[data["optimizer"]](model.parameters())

        def train(model, optimizer, history, steps):
            losses = []
            for _ in range(steps):
                # A batch of its own for every step, which history knows the number of.
                start = len(history) % 3 * 4
                batch = tl.randperm(12)[:4] if data["shuffled"] else tl.arange(start, start + 4)
                optimizer.zero_grad()
                loss = loss_fn(model(images[batch]), labels[batch])
                loss.backward()
                optimizer.step()
                losses.append(loss.item())
                history.append(losses[-1])
            return losses

        model, optimizer = make(data["seed"])
        history = []
        train(model, optimizer, history, 4)
        past = list(history)
        saved = ns["snapshot"](model, optimizer, history)
        if saved is None:
            return {"saved": None}
        future = train(model, optimizer, history, 5)
        runs = []
        for attempt in (1, 2):
            if data["fresh"]:
                model, optimizer = make(data["seed"] + attempt)
                history = []
            ns["restore"](saved, model, optimizer, history)
            back = list(history)
            runs.append({"history": back, "losses": train(model, optimizer, history, 5)})
        return {"past": past, "future": future, "runs": runs}

    def expected(self, data):
        return {"history": "as it was", "losses": "the same, bit for bit, both times"}

    def judge(self, case, got, want):
        if got.get("saved", "") is None:
            return Failure("snapshot returned None. Did you forget `return`?")
        for time, run in zip(("", " the second time"), got["runs"], strict=True):
            if run["history"] != got["past"]:
                return Failure(
                    f"After restore{time}, history should hold the {len(got['past'])} entries of "
                    f"the moment of the snapshot; it holds {len(run['history'])}.",
                    expected=got["past"],
                    got=run["history"],
                )
            pairs = zip(run["losses"], got["future"], strict=True)
            same = [a == b or (a != a and b != b) for a, b in pairs]
            if not all(same):
                return Failure(
                    f"Restored{time} and trained on, the loss departs at step "
                    f"{same.index(False) + 1} from the run that was never interrupted: "
                    "something that decides the next step was not put back.",
                    expected=got["future"],
                    got=run["losses"],
                )
        return None

    @mutant(
        "You keep the tensors themselves, and training goes on to change them: your snapshot "
        "always shows the present. copy.deepcopy the state dicts.",
        bundle=True,
    )
    def keeps_references():
        def snapshot(model, optimizer, history):
            return {
                "model": model.state_dict(),
                "optimizer": optimizer.state_dict(),
                "random": tl.get_rng_state(),
                "history": list(history),
            }

        return {"snapshot": snapshot, "restore": restore_all}

    @mutant(
        "Your snapshot holds the weights themselves, and training goes on to change them: it "
        "always shows the present. copy.deepcopy(model.state_dict()).",
        bundle=True,
    )
    def keeps_the_weights():
        def snapshot(model, optimizer, history):
            return {**snapshot_all(model, optimizer, history), "model": model.state_dict()}

        return {"snapshot": snapshot, "restore": restore_all}

    @mutant(
        "Your snapshot holds the optimizer's own tensors, and training goes on to change them; "
        "a copy of the outer dict alone is not enough. copy.deepcopy(optimizer.state_dict()).",
        bundle=True,
    )
    def keeps_the_momentum():
        def snapshot(model, optimizer, history):
            return {**snapshot_all(model, optimizer, history), "optimizer": optimizer.state_dict()}

        return {"snapshot": snapshot, "restore": restore_all}

    @mutant(
        "You put back the weights, not the optimizer: its momentum (or Adam's averages) starts "
        "from nothing, or from another run.",
        bundle=True,
    )
    def forgets_the_optimizer():
        def restore(saved, model, optimizer, history):
            model.load_state_dict(saved["model"])
            tl.set_rng_state(saved["random"])
            history[:] = saved["history"]

        return {"snapshot": snapshot_all, "restore": restore}

    @mutant(
        "You leave out the random generator: shuffle and dropout draw other numbers than they "
        "would have. tl.get_rng_state() and tl.set_rng_state(...).",
        bundle=True,
    )
    def forgets_the_generator():
        def restore(saved, model, optimizer, history):
            model.load_state_dict(saved["model"])
            optimizer.load_state_dict(saved["optimizer"])
            history[:] = saved["history"]

        return {"snapshot": snapshot_all, "restore": restore}

    @mutant(
        "You assign to the name history: that gives the name inside your function another list, "
        "and the caller's stays. history[:] = ... changes the list itself.",
        bundle=True,
    )
    def rebinds_history():
        def restore(saved, model, optimizer, history):
            model.load_state_dict(saved["model"])
            optimizer.load_state_dict(saved["optimizer"])
            tl.set_rng_state(saved["random"])
            history = list(saved["history"])  # noqa: F841

        return {"snapshot": snapshot_all, "restore": restore}

    @mutant(
        "You keep the list history itself, and it grows on. Keep a copy: list(history).",
        bundle=True,
    )
    def keeps_the_list():
        def snapshot(model, optimizer, history):
            return {**snapshot_all(model, optimizer, history), "history": history}

        return {"snapshot": snapshot, "restore": restore_all}

    @mutant(
        "You add the old history to what is there. Going back means that what came after is gone: "
        "history[:] = ...",
        bundle=True,
    )
    def extends_history():
        def restore(saved, model, optimizer, history):
            restore_all(saved, model, optimizer, [])
            history.extend(saved["history"])

        return {"snapshot": snapshot_all, "restore": restore}

    @mutant(
        "You keep the parameters alone. A model also has buffers, numbers that it computes and "
        "does not learn; state_dict() has both.",
        bundle=True,
    )
    def parameters_only():
        def snapshot(model, optimizer, history):
            saved = snapshot_all(model, optimizer, history)
            names = [name for name, _ in model.named_parameters()]
            return {**saved, "model": {name: saved["model"][name] for name in names}}

        def restore(saved, model, optimizer, history):
            restore_all({**saved, "model": {**model.state_dict(), **saved["model"]}},
                        model, optimizer, history)  # fmt: skip

        return {"snapshot": snapshot, "restore": restore}

    @alternative("a tuple, with clones", bundle=True)
    def tuple_of_clones():
        def snapshot(model, optimizer, history):
            weights = {name: t.detach().clone() for name, t in model.state_dict().items()}
            return (
                weights,
                copy.deepcopy(optimizer.state_dict()),
                tl.get_rng_state(),
                tuple(history),
            )

        def restore(saved, model, optimizer, history):
            weights, state, generator, past = saved
            model.load_state_dict(weights)
            optimizer.load_state_dict(state)
            tl.set_rng_state(generator)
            history.clear()
            history.extend(past)

        return {"snapshot": snapshot, "restore": restore}

    @alternative("everything deep-copied, there and back", bundle=True)
    def deep_copies():
        def snapshot(model, optimizer, history):
            return copy.deepcopy(
                (model.state_dict(), optimizer.state_dict(), tl.get_rng_state(), history)
            )

        def restore(saved, model, optimizer, history):
            weights, state, generator, past = copy.deepcopy(saved)
            tl.set_rng_state(generator)
            history[:] = past
            optimizer.load_state_dict(state)
            model.load_state_dict(weights)

        return {"snapshot": snapshot, "restore": restore}


def snapshot_all(model, optimizer, history):
    return {
        "model": copy.deepcopy(model.state_dict()),
        "optimizer": copy.deepcopy(optimizer.state_dict()),
        "random": tl.get_rng_state(),
        "history": list(history),
    }


def restore_all(saved, model, optimizer, history):
    model.load_state_dict(saved["model"])
    optimizer.load_state_dict(saved["optimizer"])
    tl.set_rng_state(saved["random"])
    history[:] = saved["history"]


# Predictions --------------------------------------------------------------------------------

lesson.predict(
    "06.A",
    kind="choice",
    question="The two programs differ in one line. What does that line change?",
    choices=[
        "the learning rate",
        "the loss function",
        "the order of the pictures",
        "the first weights",
    ],
    explain="Sorted by digit, every batch pulls the network to a single answer, for several steps "
    "on end. A batch must be a fair sample of the whole, and shuffling makes it one.",
)

lesson.predict(
    "06.B",
    kind="choice",
    question="Runs A, B and C each have one mistake. Which of them never clears its gradients?",
    choices=["A", "B", "C"],
    explain="A sum that is never cleared can hardly shrink: the gradient norm climbs and climbs. "
    "Look at the lower row first: it tells causes, where the loss only tells that you suffer.",
)

lesson.predict(
    "06.C",
    question="One epoch over the 1442 pictures, in batches of 1: how many times as long does it "
    "take as in batches of 64?",
    unit="times",
    tolerance=0.4,
    explain="The arithmetic is the same. What grows is the number of steps, 1442 instead of 23, "
    "and each step costs its fixed price before the first number is multiplied.",
)


# Milestone ----------------------------------------------------------------------------------

BAR = 0.95
MOVED = 0.1
"""Over 10 seeds the reference read 97.2 to 98.3% of the test pictures, and every parameter moved
by more than its own first length (1.04 to 4 times)."""
SEEDS = (0, 1, 2)
EPOCHS, BATCH, RATE, MOMENTUM, MAX_NORM = 20, 32, 0.05, 0.9, 1.0


def network(dropout=0.2):
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(64, 64),
        nn.ReLU(),
        nn.Dropout(dropout),
        nn.Linear(64, 64),
        nn.ReLU(),
        nn.Linear(64, 10),
    )


class Run:
    """A training run that is made of nothing but the learner's functions."""

    def __init__(self, ns, seed, data):
        self.ns, self.data, self.history = ns, data, []
        tl.manual_seed(seed)
        self.model = network()
        self.first = self.weights()
        self.optimizer = optim.SGD(self.model.parameters(), lr=RATE, momentum=MOMENTUM)

    def weights(self):
        return {name: as_array(p).copy() for name, p in self.model.named_parameters()}

    def epoch(self):
        """Train for one epoch. Returns what is wrong with its batches, or None."""
        ns, seen = self.ns, []
        self.model.train()
        for batch in ns["make_batches"](len(self.data), BATCH, shuffle=True):
            indices = [int(i) for i in batch]
            seen += indices
            images, labels = ns["collate"]([self.data[i] for i in indices])
            loss = ns["train_step"](
                self.model, self.optimizer, nn.CrossEntropyLoss(), images, labels,
                before_step=lambda: ns["clip_gradients"](self.model.parameters(), MAX_NORM),
            )  # fmt: skip
        self.history.append(loss)
        if sorted(seen) != list(range(len(self.data))):
            return "an epoch must read each of the pictures exactly once"
        return None

    def lazy_parameter(self):
        """A parameter that training has left (nearly) where it was, or None."""
        now = self.weights()
        for name, first in self.first.items():
            moved = np.linalg.norm(now[name] - first) / np.linalg.norm(first)
            if not moved > MOVED:
                return name
        return None


@lesson.milestone(
    "06.M",
    title="Digits: 95% on each of three seeds, with every layer learning",
    names=[
        "make_batches", "collate", "train_step", "accuracy", "clip_gradients", "snapshot", "restore"
    ],
    points=3,
    time_limit=180,
    hints=[
        "Run the checks 06.1 to 06.6 again: the part that is not right fails there, on a small "
        "example.",
    ],
)  # fmt: skip
def milestone(ns):
    train, test = Digits(), Digits(train=False)
    samples = [train[i] for i in range(len(train))]
    wrong = wrong_step(ns, samples[:24]) or wrong_restore(ns, samples[:256])
    if wrong:
        return MilestoneResult(False, None, wrong)
    everything = list(range(len(test)))
    tests = [ns["collate"]([test[i] for i in everything[k : k + 100]]) for k in range(0, 355, 100)]
    shares = []
    for seed in SEEDS:
        run = Run(ns, seed, samples)
        for _ in range(EPOCHS):
            wrong = run.epoch()
            if wrong:
                return MilestoneResult(False, None, f"seed {seed}: {wrong}")
        lazy = run.lazy_parameter()
        if lazy is not None:
            return MilestoneResult(
                False, None, f"seed {seed}: {lazy} has not learned: it is where it began"
            )
        share = read_by_hand(run.model, test)
        if abs(ns["accuracy"](run.model, tests) - share) > 1e-9:
            return MilestoneResult(
                False, None, f"seed {seed}: accuracy() is not the share of right answers"
            )
        shares.append(share)
    worst = min(shares)
    told = ", ".join(f"{share:.0%}" for share in shares)
    text = f"seeds 0, 1, 2 read {told} of the {len(test)} test pictures; "
    if worst < BAR:
        text += f"each should read {BAR:.0%}"
    else:
        text += "every layer learned, and a restored run repeats itself bit for bit"
    return MilestoneResult(worst >= BAR, round(100 * worst, 1), text)


def read_by_hand(model, data):
    """The share of right answers, worked out with NumPy from the weights."""
    x = np.stack([as_array(data[i][0]).ravel() for i in range(len(data))]).astype(np.float64)
    weights = [as_array(p).astype(np.float64) for p in model.parameters()]
    for k in range(0, len(weights), 2):
        x = x @ weights[k].T + weights[k + 1]
        if k + 2 < len(weights):
            x = np.maximum(x, 0)
    return float((x.argmax(axis=1) == as_array(data.targets)).mean())


def wrong_step(ns, samples):
    """Two steps on the real network against autograd's gradients; what is wrong, or None."""
    tl.manual_seed(5)
    model = network(dropout=0.0)
    optimizer = optim.SGD(model.parameters(), lr=RATE, momentum=MOMENTUM)
    weights = [as_array(p).astype(np.float64) for p in model.parameters()]
    velocity = [np.zeros_like(w) for w in weights]
    for k in range(2):
        images, labels = ns["collate"](samples[12 * k : 12 * k + 12])
        twin = copy.deepcopy(model)
        loss = nn.functional.cross_entropy(twin(images), labels)
        grads = [as_array(g) for g in tl.autograd.grad(loss, list(twin.parameters()))]
        norm = np.sqrt(sum((g.astype(np.float64) ** 2).sum() for g in grads))
        scale = min(1.0, 0.1 / norm)
        velocity = [MOMENTUM * v + g * scale for v, g in zip(velocity, grads, strict=True)]
        weights = [w - RATE * v for w, v in zip(weights, velocity, strict=True)]
        ns["train_step"](
            model, optimizer, nn.CrossEntropyLoss(), images, labels,
            before_step=lambda: ns["clip_gradients"](model.parameters(), 0.1),
        )  # fmt: skip
        for (name, p), w in zip(model.named_parameters(), weights, strict=True):
            if not np.allclose(as_array(p), w, rtol=1e-4, atol=1e-6):
                return f"step {k + 1} does not move {name} by learning rate times clipped gradient"
    return None


def wrong_restore(ns, samples):
    """A short run, interrupted and restored; what is wrong, or None."""
    run = Run(ns, 7, samples)
    run.epoch()
    saved = ns["snapshot"](run.model, run.optimizer, run.history)
    run.epoch()
    wanted = run.weights()
    ns["restore"](saved, run.model, run.optimizer, run.history)
    run.epoch()
    if all((w == wanted[name]).all() for name, w in run.weights().items()):
        return None
    return "a run restored from a snapshot does not repeat itself"


@milestone.mutant("The middle layer is never updated, and still 97% are read.", bundle=True)
def frozen_layer(ns):
    def train_step(model, optimizer, loss_fn, images, labels, before_step=None):
        optimizer.zero_grad()
        loss = loss_fn(model(images), labels)
        loss.backward()
        if before_step is not None:
            before_step()
        for name, p in model.named_parameters():
            if name.startswith("4."):
                p.grad = None
        optimizer.step()
        return loss.item()

    return {"train_step": train_step}


@milestone.mutant("Gradients pile up; clipped, they still teach 90%.", bundle=True)
def never_cleared(ns):
    def train_step(model, optimizer, loss_fn, images, labels, before_step=None):
        loss = loss_fn(model(images), labels)
        loss.backward()
        if before_step is not None:
            before_step()
        optimizer.step()
        return loss.item()

    return {"train_step": train_step}


@milestone.mutant("A snapshot without the optimizer's momentum.", bundle=True)
def momentum_lost(ns):
    def restore(saved, model, optimizer, history):
        model.load_state_dict(saved["model"])
        tl.set_rng_state(saved["random"])
        history[:] = saved["history"]

    return {"restore": restore}


@milestone.mutant("Nothing is clipped: the norm is only measured.", bundle=True)
def only_measures(ns):
    def clip_gradients(parameters, max_norm):
        return sum((p.grad**2).sum().item() for p in parameters if p.grad is not None) ** 0.5

    return {"clip_gradients": clip_gradients}
