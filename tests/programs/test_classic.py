"""The programs that people write first, small: each learns what it should, to a number.

They are written as for PyTorch, with its names alone. The bars leave room: with other seeds the
programs end well inside them, and a layer that does not learn, or a wrong gradient, does not reach them.
"""

from __future__ import annotations

import math

import pytest

import tensorlab as torch
from tensorlab import nn, optim
from tensorlab.nn import functional as F
from tensorlab.utils.data import DataLoader, Subset, TensorDataset
from tensorlab.vision.datasets import Digits


@pytest.fixture(autouse=True)
def same_start(_alone):
    """The same numbers every time: a test of learning says the same of the same code."""
    torch.manual_seed(0)


def tensors(dataset):
    images, labels = zip(*dataset, strict=True)
    return torch.stack(images), torch.tensor(labels)


@pytest.fixture(scope="module")
def digits():
    """8×8 pictures of digits in [0, 1], and their labels: 640 to learn from and 300 others."""
    train = tensors(Subset(Digits(train=True), range(640)))
    test = tensors(Subset(Digits(train=False), range(300)))
    return train, test


def train(model, loader, loss_function, optimizer, epochs):
    """The loop of every tutorial; gives the mean loss of the last epoch."""
    model.train()
    total = math.inf
    for _ in range(epochs):
        total = 0.0
        for inputs, targets in loader:
            optimizer.zero_grad()
            loss = loss_function(model(inputs), targets)
            loss.backward()
            optimizer.step()
            total += loss.item()
    return total / len(loader)


@torch.no_grad()
def accuracy(model, inputs, targets):
    model.eval()
    return (model(inputs).argmax(1) == targets).float().mean().item()


def test_cnn_on_digits_as_large_as_mnist(digits):
    (images, labels), (others, theirs) = digits
    larger = {"size": (28, 28), "mode": "bilinear", "align_corners": False}
    images, others = F.interpolate(images, **larger), F.interpolate(others, **larger)
    assert images.shape == (640, 1, 28, 28)
    model = nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(8, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(16 * 7 * 7, 10),
    )  # fmt: skip
    loader = DataLoader(TensorDataset(images, labels), batch_size=64, shuffle=True)
    optimizer = optim.Adam(model.parameters(), lr=3e-3)
    assert train(model, loader, nn.CrossEntropyLoss(), optimizer, 5) < 0.35
    assert accuracy(model, others, theirs) > 0.88


def test_cnn_with_batch_norm_and_dropout_in_the_shapes_of_cifar():
    """Three colours and a stripe whose direction is the class: what a single pixel does not show."""
    labels = torch.arange(160) % 4
    row, column = torch.meshgrid(torch.arange(32), torch.arange(32), indexing="ij")
    directions = torch.stack([row, column, row + column, row - column]).float()
    phases = torch.rand(160, 1, 1, 1) * 6.3
    waves = torch.sin(directions[labels].unsqueeze(1) * 0.8 + phases)
    images = waves * torch.rand(160, 3, 1, 1) + torch.randn(160, 3, 32, 32) * 0.3
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2),
        nn.Dropout(0.1), nn.Conv2d(8, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.1), nn.Linear(16, 4),
    )  # fmt: skip
    loader = DataLoader(TensorDataset(images[:128], labels[:128]), batch_size=32, shuffle=True)
    optimizer = optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-4)
    schedule = optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.1, total_steps=48)
    last = math.inf
    for _ in range(12):
        last = train(model, loader, nn.CrossEntropyLoss(), optimizer, 1)
        for _ in loader:
            schedule.step()
    assert last < 0.3
    assert accuracy(model, images[128:], labels[128:]) > 0.9
    assert model[1].num_batches_tracked == 48


TEXT = "the quick brown fox jumps over the lazy dog. " * 6


def test_lstm_learns_the_next_character():
    characters = sorted(set(TEXT))
    codes = torch.tensor([characters.index(c) for c in TEXT])

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.embedding = nn.Embedding(len(characters), 16)
            self.lstm = nn.LSTM(16, 64, batch_first=True)
            self.head = nn.Linear(64, len(characters))

        def forward(self, x, state=None):
            hidden, state = self.lstm(self.embedding(x), state)
            return self.head(hidden), state

    model = Model()
    optimizer = optim.Adam(model.parameters(), lr=0.01)
    windows = codes.unfold(0, 33, 8)
    losses = []
    for _ in range(60):
        optimizer.zero_grad()
        logits, _ = model(windows[:, :-1])
        loss = F.cross_entropy(logits.transpose(1, 2), windows[:, 1:])
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.35
    # It writes on by itself, one character and the state at a time.
    written, state = [characters.index(c) for c in "the "], None
    logits, state = model(torch.tensor([written]), state)
    for _ in range(40):
        written.append(int(logits[0, -1].argmax()))
        logits, state = model(torch.tensor([written[-1:]]), state)
    assert "".join(characters[c] for c in written) in TEXT


def test_transformer_encoder_finds_a_repetition():
    """Does the first token come again? Pairs of places decide, and padding must not count."""
    length = torch.randint(4, 9, (2048,))
    tokens = torch.randint(1, 10, (2048, 8))
    padding = torch.arange(8) >= length[:, None]
    tokens = tokens.masked_fill(padding, 0)
    first = tokens[:, 0]
    labels = ((tokens[:, 1:] == first[:, None]) & ~padding[:, 1:]).any(1).long()

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.token, self.place = nn.Embedding(10, 32), nn.Embedding(8, 32)
            layer = nn.TransformerEncoderLayer(32, 4, 64, dropout=0.0, batch_first=True)
            self.encoder = nn.TransformerEncoder(layer, 2)
            self.head = nn.Linear(32, 2)

        def forward(self, x, padding):
            hidden = self.token(x) + self.place(torch.arange(8))
            return self.head(self.encoder(hidden, src_key_padding_mask=padding)[:, 0])

    model = Model()
    optimizer = optim.AdamW(model.parameters(), lr=3e-3)
    losses = []
    for step in range(200):
        batch = torch.arange(step * 64, step * 64 + 64) % 1920
        optimizer.zero_grad()
        loss = F.cross_entropy(model(tokens[batch], padding[batch]), labels[batch])
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.25
    model.eval()
    with torch.no_grad():
        guess = model(tokens[1920:], padding[1920:]).argmax(1)
    assert (guess == labels[1920:]).float().mean().item() > 0.85


def test_variational_autoencoder(digits):
    (images, _), _ = digits
    pixels = images.flatten(1)

    class VAE(nn.Module):
        def __init__(self):
            super().__init__()
            self.encode = nn.Sequential(nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, 16))
            self.decode = nn.Sequential(nn.Linear(8, 64), nn.Tanh(), nn.Linear(64, 64))

        def forward(self, x):
            mean, log_variance = self.encode(x).chunk(2, dim=1)
            code = mean + torch.exp(log_variance / 2) * torch.randn_like(mean)
            return self.decode(code), mean, log_variance

    model = VAE()
    optimizer = optim.Adam(model.parameters(), lr=5e-3)
    losses = []
    for _ in range(150):
        optimizer.zero_grad()
        logits, mean, log_variance = model(pixels)
        rebuilt = F.binary_cross_entropy_with_logits(logits, pixels, reduction="sum")
        divergence = -0.5 * (1 + log_variance - mean**2 - log_variance.exp()).sum()
        loss = (rebuilt + divergence) / len(pixels)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[0] > 44 > 30 > losses[-1]
    drawn = torch.sigmoid(model.decode(torch.randn(200, 8)))
    # What it dreams up has the pictures' bright and dark places.
    together = torch.stack([drawn.mean(0), pixels.mean(0)])
    assert torch.corrcoef(together)[0, 1].item() > 0.95


def test_gan_learns_a_normal_distribution():
    generator = nn.Sequential(nn.Linear(1, 16), nn.LeakyReLU(0.1), nn.Linear(16, 1))
    critic = nn.Sequential(nn.Linear(2, 32), nn.LeakyReLU(0.1), nn.Linear(32, 1))
    for_generator = optim.Adam(generator.parameters(), lr=2e-3, betas=(0.5, 0.9))
    for_critic = optim.Adam(critic.parameters(), lr=4e-3, betas=(0.5, 0.9))
    loss_function = nn.BCEWithLogitsLoss()
    ones, zeros = torch.ones(128, 1), torch.zeros(128, 1)

    def features(x):
        return torch.cat([x, x * x / 8], 1)

    drawn = []
    for step in range(1200):
        real, fake = torch.randn(128, 1) * 1.25 + 4, generator(torch.randn(128, 1))
        for_critic.zero_grad()
        loss = loss_function(critic(features(real)), ones) + loss_function(
            critic(features(fake.detach())), zeros
        )
        loss.backward()
        for_critic.step()
        for_generator.zero_grad()
        loss_function(critic(features(fake)), ones).backward()
        for_generator.step()
        if step >= 900:
            drawn.append(fake.detach())
    samples = torch.cat(drawn)
    assert samples.mean().item() == pytest.approx(4, abs=0.5)
    assert samples.std().item() == pytest.approx(1.25, abs=0.5)


def test_transfer_with_a_frozen_body(digits):
    """A body trained on the digits 0 to 4 serves a new head for 5 to 9, and does not change."""
    (images, labels), (others, theirs) = digits
    body = nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU(), nn.Flatten(),
    )  # fmt: skip
    old, new = labels < 5, labels >= 5
    first = nn.Sequential(body, nn.Linear(512, 5))
    loader = DataLoader(TensorDataset(images[old], labels[old]), batch_size=32, shuffle=True)
    optimizer = optim.Adam(first.parameters(), lr=3e-3)
    assert train(first, loader, nn.CrossEntropyLoss(), optimizer, 6) < 0.1

    optimizer.zero_grad()
    for parameter in body.parameters():
        parameter.requires_grad_(False)
    body.eval()
    before = {name: value.clone() for name, value in body.state_dict().items()}
    head = nn.Linear(512, 5)
    optimizer = optim.Adam((p for p in head.parameters() if p.requires_grad), lr=1e-2)
    losses = []
    for _ in range(40):
        optimizer.zero_grad()
        loss = F.cross_entropy(head(body(images[new])), labels[new] - 5)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.1
    kept = theirs >= 5
    second = nn.Sequential(body, head)
    assert accuracy(second, others[kept], theirs[kept] - 5) > 0.85
    assert all(torch.equal(value, before[name]) for name, value in body.state_dict().items())
    assert all(p.grad is None for p in body.parameters())
