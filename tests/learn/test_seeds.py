"""One seed at the head of a program: the same bits in the end, for any number of workers."""

import functools
import json
import os
import random
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

import onecycle
from onecycle.core.errors import OnecycleWarning, UsageError
from onecycle.learn.seed import set_seed
from onecycle.series.encode import series_transforms
from onecycle.series.learner import series_learner
from onecycle.series.lists import SeriesList
from onecycle.text.learner import language_model_learner, text_classifier_learner
from onecycle.text.lists import TextClasDataBunch, TextLMDataBunch
from onecycle.vision.augment import cutout, get_transforms
from onecycle.vision.learner import cnn_learner, unet_learner
from onecycle.vision.lists import ImageList, SegmentationItemList

SIZES = {"emb_sz": 6, "n_hid": 8, "n_layers": 2}


@pytest.fixture(autouse=True)
def settings():
    """What `set_seed` changes for the whole program is put back."""
    before = torch.are_deterministic_algorithms_enabled(), torch.backends.cudnn.benchmark
    yield
    torch.use_deterministic_algorithms(before[0])
    torch.backends.cudnn.benchmark = before[1]
    os.environ.pop("CUBLAS_WORKSPACE_CONFIG", None)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """24 noisy images of two kinds, each with a mask."""
    root = tmp_path_factory.mktemp("seeds")
    rng = np.random.default_rng(0)
    for side in ("images", "masks"):
        (root / side).mkdir()
    for i in range(24):
        mask = np.zeros((32, 32), np.uint8)
        mask[: 8 + i % 9, 3 : 12 + i] = 1
        pixels = rng.integers(0, 120, (32, 32, 3)) + 100 * mask[..., None] * (i % 2)
        Image.fromarray(pixels.astype(np.uint8)).save(root / "images" / f"{'ab'[i % 2]}{i:02}.png")
        Image.fromarray(mask).save(root / "masks" / f"{'ab'[i % 2]}{i:02}.png")
    return root


def bunch(labelled, workers, seed, processes):
    """Augmented batches, from threads or from processes."""
    tfms = [*get_transforms(flip_vert=True)[0], cutout()], []
    options = {"bs": 4, "num_workers": workers, "device": "cpu", "seed": seed, "no_check": True}
    data = labelled.transform(tfms, size=32).databunch(**options).normalize()
    data.train_dl.processes = processes
    return data


def images(folder, workers, seed=0, processes=False):
    """A random split, a fresh head, dropout and mixup."""
    items = ImageList.from_folder(folder / "images").split_by_rand_pct(0.3)
    labelled = items.label_from_re(r"([ab])\d+\.png$")
    return cnn_learner(bunch(labelled, workers, seed, processes), "small", silent=True).mixup()


def masks(folder, workers, seed=0, processes=False):
    items = SegmentationItemList.from_folder(folder / "images").split_by_rand_pct(0.3)
    labelled = items.label_from_func(lambda p: folder / "masks" / p.name, classes=["no", "yes"])
    data = bunch(labelled, workers, seed, processes)
    return unet_learner(data, "small", bottle=True, silent=True)


def series(folder, workers, seed=0, processes=False):
    x = np.random.default_rng(1).normal(size=(24, 40)).cumsum(1)
    labelled = SeriesList.from_array(x, ["up", "down"] * 12).split_by_rand_pct(0.3)
    changed = labelled.label_from_df("label").transform(series_transforms(), size=32)
    data = changed.databunch(bs=4, num_workers=workers, device="cpu", seed=seed, no_check=True)
    return series_learner(data, "small", silent=True)


def frame():
    rng = np.random.default_rng(2)
    texts = [" ".join(rng.choice(list("abcdefgh"), rng.integers(9, 40))) for _ in range(24)]
    return pd.DataFrame({"label": ["yes", "no", "no"] * 8, "text": texts})


def language(folder, workers, seed=0, processes=False):
    how = {"text_cols": "text", "bs": 2, "bptt": 10, "min_freq": 1, "num_workers": workers}
    data = TextLMDataBunch.from_df(".", frame(), **how)
    data.train_dl.seed = seed
    return language_model_learner(data, config=SIZES, silent=True)


def texts(folder, workers, seed=0, processes=False):
    how = {"text_cols": "text", "label_cols": "label", "bs": 4, "num_workers": workers}
    data = TextClasDataBunch.from_df(".", frame(), **how)
    data.train_dl.seed = seed
    return text_classifier_learner(data, config=SIZES, silent=True)


PROGRAMS = {f.__name__: f for f in (images, masks, series, language, texts)}
pytestmark = pytest.mark.filterwarnings("ignore::onecycle.core.errors.OnecycleWarning")


def trained(kind, folder, workers=0, seed=5, order=0, processes=False, looks=True):
    """A digest of weights, statistics, history and a prediction's probabilities."""
    set_seed(seed, reproducible=True)
    learn = PROGRAMS[kind](folder, workers, order, processes)
    if looks:
        learn.lr_find(num_it=3)
    learn.fit_one_cycle(1, 1e-2)
    learn.unfreeze()
    learn.fit_one_cycle(1, slice(1e-3, 1e-2))
    found = sha256()
    for value in learn.model.state_dict().values():
        found.update(value.numpy().tobytes())
    found.update(json.dumps([{**row, "seconds": 0} for row in learn.history]).encode())
    found.update(learn.validate()[0].hex().encode())
    return found.hexdigest()


@pytest.fixture(scope="module")
def alone(folder):
    """The digest of each kind without workers."""
    return functools.cache(lambda kind: trained(kind, folder))


@pytest.mark.parametrize("kind", PROGRAMS)
def test_weights_are_the_same_to_the_last_bit_for_any_number_of_workers(kind, folder, alone):
    for workers in (0, 1, 2, 4) if kind == "images" else (2,):
        assert trained(kind, folder, workers) == alone(kind)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="processes are forked on Linux")
@pytest.mark.parametrize("kind", ["images", "masks"])
def test_weights_are_the_same_with_batches_from_processes(kind, folder, alone):
    for workers in (1, 2, 4) if kind == "images" else (2,):
        assert trained(kind, folder, workers, processes=True) == alone(kind)


@pytest.mark.parametrize("kind", PROGRAMS)
def test_another_seed_and_another_order_of_batches_give_other_weights(kind, folder, alone):
    found = {alone(kind), trained(kind, folder, seed=6), trained(kind, folder, order=1)}
    assert len(found) == 3


def test_looking_for_a_rate_leaves_every_bit_as_it_would_be(folder, alone):
    assert trained("images", folder, looks=False) == alone("images")


SOURCES = {
    "split": lambda folder: images(folder, 0).data.valid_ds.items,
    "head": lambda folder: [p.tolist() for p in cnn(folder).model[1].parameters()],
    "dropout": lambda folder: torch.nn.Dropout(0.5).train()(torch.ones(64)).tolist(),
    "mixup": lambda folder: torch.distributions.Beta(0.4, 0.4).sample((5,)).tolist(),
    "python": lambda folder: random.random(),
    "words": lambda folder: language(folder, 0).predict("a b", n_words=12),
}


def cnn(folder):
    items = ImageList.from_folder(folder / "images").split_by_rand_pct(0.3, seed=0)
    return cnn_learner(bunch(items.label_from_re(r"([ab])\d+\.png$"), 0, 0, False), "small")


@pytest.mark.parametrize("source", SOURCES)
def test_everything_that_is_drawn_follows_the_seed_alone(source, folder):
    found = []
    for seed in (5, 5, 2**63 + 6):
        set_seed(seed)
        found.append(SOURCES[source](folder))
    assert found[0] == found[1] != found[2]


PROGRAM = """
import sys, warnings
from pathlib import Path
sys.path.insert(0, sys.argv[1])
warnings.simplefilter("ignore")
import test_seeds
print(test_seeds.trained("images", Path(sys.argv[2]), 3))
"""


def test_another_process_with_other_hashes_of_text_gives_the_same(folder, alone):
    """Each process of Python orders sets in another way."""
    path = os.pathsep.join([str(Path(onecycle.__file__).parents[1]), *sys.path])
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, Path(__file__).parent, folder],
        env={**os.environ, "PYTHONHASHSEED": "7", "PYTHONPATH": path},
        stdout=subprocess.PIPE,
        text=True,
        timeout=300,
        check=True,
    )
    assert done.stdout.split()[-1] == alone("images")


# --- what is told to torch ------------------------------------------------------------------------


def test_torch_is_asked_for_the_same_bits_only_where_that_is_wanted():
    torch.backends.cudnn.benchmark = True
    set_seed(1)
    assert not torch.are_deterministic_algorithms_enabled()
    assert torch.backends.cudnn.benchmark
    assert "CUBLAS_WORKSPACE_CONFIG" not in os.environ
    set_seed(1, reproducible=True)
    assert torch.are_deterministic_algorithms_enabled()
    assert torch.is_deterministic_algorithms_warn_only_enabled()
    assert not torch.backends.cudnn.benchmark
    assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"
    os.environ["CUBLAS_WORKSPACE_CONFIG"] = ":16:8"
    set_seed(1, reproducible=True)
    assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":16:8"


def test_after_the_first_use_of_a_gpu_it_is_too_late(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    with pytest.warns(OnecycleWarning, match="let the program begin with it") as heard:
        set_seed(1, reproducible=True)
    assert heard[0].filename == __file__
    assert len(heard) == 1


@pytest.mark.parametrize("seed", [-1, 1.5, "42", 2**64, None, True])
def test_a_seed_is_a_whole_number(seed):
    with pytest.raises(UsageError, match="seed is a whole number"):
        set_seed(seed)
