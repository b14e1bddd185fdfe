"""Importing loads no image library, and without one everything works that needs no PIL image."""

from __future__ import annotations

import subprocess
import sys

import pytest


def run(code):
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_importing_loads_neither_pillow_nor_what_downloads():
    code = (
        "import sys, tensorlab.vision.datasets, tensorlab.vision.models, tensorlab.vision.utils\n"
        "import tensorlab.vision.transforms, tensorlab.vision.ops\n"
        "print('PIL' in sys.modules, 'torch' in sys.modules)"
    )
    assert run(code) == "False False\n"


def test_what_works_without_pillow():
    pytest.importorskip("numpy")
    code = """
import sys
sys.modules["PIL"] = None
import numpy as np
import tensorlab as tl
from tensorlab.vision import datasets, models, ops, transforms, utils

train = transforms.Compose([
    transforms.ToTensor(), transforms.RandomCrop(8, padding=2), transforms.RandomHorizontalFlip(),
    transforms.Resize(16), transforms.RandomRotation(10), transforms.ColorJitter(0.4, 0.4, 0.4, 0.1),
    transforms.GaussianBlur(3), transforms.Normalize(0.5, 0.5),
])
x = train(np.zeros((9, 10, 3), np.uint8))
print(tuple(x.shape), tuple(utils.make_grid([x, x]).shape))
print(tuple(models.resnet18(num_classes=3).eval()(x[None]).shape), len(datasets.Digits()))
for call in (lambda: transforms.ToPILImage()(x), lambda: utils.save_image(x, "x.png"), lambda: datasets.FakeData()[0]):
    try:
        call()
    except ImportError as error:
        print(str(error)[-39:])
"""
    hint = 'pip install "tensorlab-course[vision]"\n'
    assert run(code) == "(3, 16, 16) (3, 20, 38)\n(1, 3) 1442\n" + f" {hint}" * 3
