"""A compiled learner is the same learner: weights, names, files and answers; hooks are called."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from onecycle import Checkpoint, from_arrays
from onecycle.core.errors import UsageError
from onecycle.learn.learner import Learner


@pytest.fixture(autouse=True)
def forget_what_was_compiled():
    torch._dynamo.reset()


def counting(made, runs):
    """A back end of torch.compile that runs graphs as they are, and notes it."""

    def backend(graph, inputs):
        made.append(graph)

        def run(*args):
            runs.append(1)
            return graph.forward(*args)

        return run

    return backend


def learner(folder):
    rng = np.random.default_rng(4)
    x = rng.normal(size=(51, 6)).astype(np.float32)
    y = (x[:, :2] @ [1.0, 0.4] > 0).astype(int)
    data = from_arrays(x[:40], y[:40], x[40:], y[40:], bs=8, val_bs=4, device="cpu")
    torch.manual_seed(1)
    first, last = nn.Linear(6, 16, bias=False), nn.Linear(16, 2)  # batch norm takes a bias away
    model = nn.Sequential(first, nn.BatchNorm1d(16), nn.Tanh(), last)
    groups = [[*model[:2].parameters()], [*last.parameters()]]
    return Learner(data, model, groups=groups, path=folder, silent=True)


def life(learn):
    """All that a learner goes through, and what it says at the end."""
    curve = learn.lr_find(num_it=8)
    learn.freeze().fit(1, 0.02)
    learn.unfreeze().fit(1, 0.02)
    learn.save("half")
    learn.to_bf16().fit(1, 0.02)
    learn.to_fp32().load("half").fit(1, 0.02, resume="night")
    weights = {name: value.clone() for name, value in learn.model.state_dict().items()}
    return weights, learn.get_preds()[0], learn.validate()[0], curve.losses


def test_a_compiled_learner_goes_through_everything_as_one_that_is_not(tmp_path):
    made, runs = [], []
    compiled = learner(tmp_path / "a").compile(backend=counting(made, runs))
    tried = len(made)
    for ours, theirs in zip(life(compiled), life(learner(tmp_path / "b")), strict=True):
        if isinstance(ours, dict):
            assert list(ours) == list(theirs)
            for name in ours:
                torch.testing.assert_close(ours[name], theirs[name], rtol=1e-5, atol=1e-6)
        else:
            np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)
    # 8 steps of the finder, 4 fits of 5 batches, and of every validation 3 batches
    assert len(made) - tried >= 4
    assert len(runs) >= 8 + 4 * 5 + 4 * 3 + 2 * 3
    names = {p.name for p in (tmp_path / "a/models").iterdir()}
    assert names == {p.name for p in (tmp_path / "b/models").iterdir()}
    learner(tmp_path / "a").load("half")  # its file is one for a learner that is not compiled


def test_hooks_are_called_though_compiled_code_would_not_call_them(tmp_path):
    runs = []
    learn = learner(tmp_path).compile(backend=counting([], runs))
    plain, before = str(learner(tmp_path).summary()), learn.validate()
    assert runs
    runs.clear()
    assert str(learn.summary()) == plain
    assert "BatchNorm1d" in plain
    assert not runs
    assert learn.validate() == before
    assert runs  # compiled again, once the hooks have gone


def test_a_fit_begun_compiled_goes_on_without_and_the_other_way_round(tmp_path):
    class Cut(Checkpoint):
        def after_step(self, run):
            super().after_step(run)
            if run.step == 2 and not run.resumed:
                raise ZeroDivisionError

    def fit(learn):
        return learn.fit(1, 0.02, callbacks=[Cut("night", minutes=None, steps=1)])

    def compiled(folder):
        return learner(folder).compile(backend=counting([], []))

    found = []
    for first, second in ((compiled, learner), (learner, compiled)):
        folder = tmp_path / first.__name__
        with pytest.raises(ZeroDivisionError):
            fit(first(folder))
        found.append(fit(second(folder)).validate())
    np.testing.assert_allclose(found[0], found[1], rtol=1e-6)


def test_a_back_end_that_cannot_compile_is_named_before_anything_runs(tmp_path):
    with pytest.raises(UsageError, match=r"cannot compile here .*nothing-of-the-kind.*C\+\+"):
        learner(tmp_path).compile(backend="nothing-of-the-kind")


@pytest.mark.slow
def test_without_a_c_compiler_it_says_so(tmp_path):
    program = "from test_compiled import learner; import sys; learner(sys.argv[1]).compile()"
    env = os.environ | {"CXX": "/no/such/g++", "TORCHINDUCTOR_CACHE_DIR": str(tmp_path / "cache")}
    command = [sys.executable, "-W", "ignore", "-c", program, str(tmp_path)]
    env["PYTHONPATH"] = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    done = subprocess.run(command, capture_output=True, text=True, env=env, check=False)
    assert done.returncode == 1
    assert "UsageError: torch.compile cannot compile here" in done.stderr
    assert "/no/such/g++" in done.stderr


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_what_the_default_compiler_makes_trains_as_the_model_itself(tmp_path):
    ours, theirs = life(learner(tmp_path / "a").compile()), life(learner(tmp_path / "b"))
    for name, value in ours[0].items():
        torch.testing.assert_close(value, theirs[0][name], rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(ours[1], theirs[1], atol=1e-3)
