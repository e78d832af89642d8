"""Generators from named numbers, and global generators that nobody moves."""

import random

import numpy as np
import torch

from onecycle.core.rng import generator, preserve_rng


def test_the_same_numbers_give_the_same_luck():
    assert generator(3, 1, 7).random(4).tolist() == generator(3, 1, 7).random(4).tolist()


def test_seed_epoch_and_index_each_give_another_stream():
    firsts = [generator(*k).random() for k in ((0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1))]
    assert len(set(firsts)) == 4


def test_negative_and_huge_seeds_are_seeds():
    assert generator(-1).random() != generator(2**70 + 5).random()


def test_neighbouring_streams_are_not_correlated():
    draws = np.array([generator(0, 0, i).random(8) for i in range(2000)])
    correlation = np.corrcoef(draws[:-1, 0], draws[1:, 0])[0, 1]
    assert abs(correlation) < 0.07
    assert abs(draws.mean() - 0.5) < 0.01


def test_global_generators_come_out_as_they_went_in():
    def draw():
        return torch.rand(2).tolist(), np.random.rand(2).tolist(), random.random()

    torch.manual_seed(1)
    np.random.seed(1)
    random.seed(1)
    wanted = draw()
    torch.manual_seed(1)
    np.random.seed(1)
    random.seed(1)
    with preserve_rng(torch):
        draw()
    assert draw() == wanted


def test_global_generators_come_out_as_before_after_an_error_too():
    np.random.seed(5)
    wanted = np.random.rand()
    np.random.seed(5)
    try:
        with preserve_rng(torch):
            np.random.rand(3)
            raise KeyError("inside")
    except KeyError:
        pass
    assert np.random.rand() == wanted
