"""The forms of the course's later lessons, and a reason for each that is of another field."""

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from torch.nn import functional as F

from onecycle import course, defaults
from onecycle.core.errors import ExportError, UsageError

WORDS = "one two three four five six seven eight nine ten"


@pytest.fixture(autouse=True)
def quiet(monkeypatch):
    monkeypatch.setattr(defaults, "progress", False)
    monkeypatch.setattr(defaults, "device", "cpu")


def program(text):
    names = {}
    exec(text, names)
    return names


# Data of tensors.


def test_tensors_become_data_whose_classes_are_the_numbers_of_the_outputs():
    x = torch.arange(24.0).reshape(12, 2)
    y = torch.tensor([0, 3] * 6)
    data = course.DataBunch.create(
        course.TensorDataset(x, y), course.TensorDataset(x[:4], y[:4]), bs=4
    )
    assert data.classes == [0, 1, 2, 3]  # 3 stays 3, though nothing is 1 or 2
    xb, yb = next(iter(data.valid_dl))
    assert torch.equal(xb, x[:4])
    assert yb.tolist() == [0, 3, 0, 3]


def test_tensors_of_numbers_are_met_as_numbers():
    x = torch.linspace(-1, 1, 40)[:, None]
    data = course.DataBunch.create((x, 3 * x[:, 0]), (x, 3 * x[:, 0]), bs=8)
    learn = course.Learner(data, nn.Linear(1, 1), silent=True)
    learn.fit(20, 0.1)
    assert learn.model.weight.item() == pytest.approx(3, abs=0.3)


@pytest.mark.parametrize("dataset", [[1, 2, 3], course.TensorDataset(torch.zeros(4, 2))])
def test_other_datasets_are_refused_with_what_makes_data_of_them(dataset):
    with pytest.raises(UsageError, match=r"TensorDataset\(x, y\).*ImageList.*from_arrays"):
        course.DataBunch.create(dataset, dataset)


# One image, and images of one plane.


@pytest.fixture
def greys(tmp_path):
    """Squares with a bright left or right half, as grey PNG."""
    for side, count in (("train", 12), ("valid", 4)):
        for name in ("left", "right"):
            (tmp_path / side / name).mkdir(parents=True)
            for i in range(count):
                pixels = np.random.default_rng([i, count]).integers(0, 60, (16, 16))
                pixels[:, slice(8) if name == "left" else slice(8, 16)] += 150
                Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / side / name / f"{i}.png")
    return tmp_path


def labelled(folder, **how):
    items = course.ImageList.from_folder(folder, **how)
    return items.split_by_folder().label_from_folder()


def test_one_item_is_prepared_as_in_validation_and_denorm_takes_it_back(greys):
    data = labelled(greys).databunch(bs=4).normalize(course.imagenet_stats)
    image, label = data.valid_ds[1]
    x, _ = data.one_item(image)
    assert torch.allclose(x[0], next(iter(data.valid_dl))[0][1], atol=1e-6)
    assert torch.allclose(data.denorm(x)[0], image.data, atol=1e-6)
    assert x.min() < 0 <= data.denorm(x).min()
    assert int(label) == data.classes.index(str(label)) == 0
    with pytest.raises(TypeError):
        int(course.from_arrays(np.zeros((5, 2)), np.arange(5.0), bs=1).train_ds[0][1])


def test_denorm_of_arrays_gives_what_was_there():
    x = np.random.default_rng(0).normal(7, 3, (20, 2)).astype(np.float32)
    data = course.from_arrays(x, [0, 1] * 10, bs=4).normalize()
    assert np.allclose(data.denorm(next(iter(data.valid_dl))[0]), x[4::5], atol=1e-5)
    with pytest.raises(UsageError, match="TextInput"):
        stream().databunch(bs=2).denorm(torch.zeros(1))


def test_grey_images_are_one_plane_that_learns_and_is_exported(greys):
    data = labelled(greys, convert_mode="L").transform(([], []), size=16).databunch(bs=4)
    x, _ = data.one_batch(course.DatasetType.Valid)
    assert x.shape[1:] == (1, 16, 16)
    assert 0.5 < float(x.max()) <= 1
    layers = course.conv_layer(1, 4, stride=2), nn.AdaptiveAvgPool2d((1, 2)), course.Flatten()
    learn = course.Learner(data.normalize(), nn.Sequential(*layers, nn.Linear(8, 2)), silent=True)
    learn.fit_one_cycle(5, 0.05)
    files = data.valid_ds.items
    assert [str(learn.predict(f)[0]) for f in files] == [f.parent.name for f in files]
    learn.export()
    assert str(course.load_learner(greys).predict(files[0])[0]) == files[0].parent.name


def test_coloured_images_are_not_made_grey_in_silence(greys):
    for file in greys.rglob("*.png"):
        Image.open(file).convert("RGB").save(file)
    with pytest.raises(UsageError, match=r'convert_mode="L".*these have 3.*convert\("L"\)'):
        labelled(greys, convert_mode="L")
    with pytest.raises(UsageError, match="'CMYK'"):
        labelled(greys, convert_mode="CMYK")


def test_grey_images_are_drawn_in_the_colours_of_defaults_and_coloured_ones_are_not(monkeypatch):
    grey = course.Image(torch.full((3, 4, 4), 0.2))
    red = course.Image(torch.tensor([0.9, 0.1, 0.1])[:, None, None].expand(3, 4, 4))
    monkeypatch.setattr(defaults, "cmap", "binary")
    assert grey.show().images[0].get_array().ndim == 2
    assert grey.show().images[0].get_cmap().name == "binary"
    assert red.show().images[0].get_array().ndim == 3
    assert grey.show(cmap="magma").images[0].get_cmap().name == "magma"
    course.plt.close("all")


def test_a_network_for_one_size_alone_is_not_exported_for_all(greys):
    data = labelled(greys).databunch(bs=4)
    model = nn.Sequential(nn.Conv2d(3, 2, 16, stride=16), course.Flatten())
    with pytest.raises(ExportError, match=r"transform\(\) a size"):
        course.Learner(data, model, silent=True).export()


# Parts of networks.


def test_a_residual_block_begins_as_doing_nothing_and_dense_stands_beside():
    x = torch.randn(2, 4, 8, 8)
    assert torch.equal(course.res_block(4)(x), x)
    dense = course.res_block(4, dense=True)(x)
    assert dense.shape == (2, 8, 8, 8)
    assert torch.equal(dense[:, 4:], x)
    assert course.conv_layer(4, 6, stride=2)(x).shape == (2, 6, 4, 4)


def test_a_merge_layer_sees_what_the_first_layer_was_given():
    double = course.Lambda(lambda x: 2 * x)
    model = course.SequentialEx(double, double, course.MergeLayer())
    assert model(torch.tensor([1.0])).item() == 5


def test_batch_norm_of_the_last_axis():
    x = torch.randn(5, 7, 3) * 4 + 2
    assert torch.allclose(
        course.BatchNorm1dFlat(3)(x), nn.BatchNorm1d(3)(x.flatten(0, 1)).reshape(x.shape)
    )


def test_parts_are_counted_frozen_and_shown():
    model = nn.Sequential(nn.Linear(2, 3), nn.Sequential(nn.ReLU(), nn.Linear(3, 1)))
    assert [type(m).__name__ for m in course.flatten_model(model)] == ["Linear", "ReLU", "Linear"]
    assert len(course.children(model)) == 2
    course.requires_grad(model[0], False)
    assert course.requires_grad(model) is False
    assert len(course.trainable_params(model)) == 2
    assert course.show_image(torch.randn(1, 4, 6)).images[0].get_array().shape == (4, 6)
    assert course.show_image(torch.rand(3, 4, 6)).images[0].get_array().shape == (4, 6, 3)
    with pytest.raises(UsageError, match=r"\(2, 4, 6\)"):
        course.show_image(torch.zeros(2, 4, 6))
    course.plt.close("all")


def test_the_gradient_of_a_layer_is_kept_also_before_one_that_acts_in_place():
    model = nn.Sequential(nn.Linear(2, 3), nn.ReLU(inplace=True), nn.Linear(3, 1))
    with course.hook_output(model[0]) as outputs, course.hook_output(model[0], grad=True) as hook:
        model(torch.ones(1, 2)).sum().backward()
    wanted = model[2].weight * (outputs.stored.clamp(min=0) > 0)
    assert torch.allclose(hook.stored[0], wanted)
    recurrent = nn.GRU(2, 2)
    with course.hook_output(recurrent, grad=True), pytest.raises(UsageError, match="GRU"):
        recurrent(torch.zeros(1, 1, 2))


# Texts as a stream for a network of one's own.


def stream():
    text = ", ".join(WORDS.split() * 30)
    train, valid = (course.TextList([text] * n, path=".") for n in (3, 1))
    return course.ItemLists(path="x", train=train, valid=valid).label_for_lm()


class Words(nn.Module):
    """The next token from this one and the one before."""

    def __init__(self, count, last=False):
        super().__init__()
        self.embed, self.out, self.last = nn.Embedding(count, 16), nn.Linear(32, count), last

    def forward(self, ids):
        x = self.embed(ids)
        both = torch.cat([x, F.pad(x, (0, 0, 1, 0))[:, :-1]], 2)
        return self.out(both[:, -1] if self.last else both)


def test_lists_of_texts_are_read_and_say_where_they_lie():
    src = stream()
    assert str(src.path) == "x"
    assert course.TextList(["a b", "c d"])[1].text == "c d"
    assert repr(course.TextList(["a b"])).startswith("TextList (1 items)")
    with pytest.raises(UsageError, match=r"TextList\(\[text\]\)"):
        course.TextList("one text")


def test_so_many_tokens_at_a_time_as_databunch_was_told():
    src = stream()
    usual, short = src.databunch(bs=4), src.databunch(bs=4, bptt=5)
    assert (usual.bptt, short.bptt) == (70, 5)
    x, y = short.one_batch()
    assert x.shape == (4, 5)
    vocab = short.valid_ds.vocab
    assert vocab.textify(y[0, :-1]) == vocab.textify(x[0, 1:])
    assert set(vocab.textify(x[0]).split()) <= {*WORDS.split(), ",", "xxbos"}
    with pytest.raises(UsageError, match="bptt"):
        _ = course.from_arrays(np.zeros((8, 2)), [0, 1] * 4, bs=2).bptt


@pytest.mark.parametrize("bptt", [7, "vocabulary"])
def test_outputs_of_a_network_of_ones_own_have_the_tokens_last(bptt):
    """Also where as many tokens are read as there are, so that no shape tells the axes apart."""
    src = stream()
    count = src.c
    data = src.databunch(bs=4, bptt=count if bptt == "vocabulary" else bptt)
    learn = course.Learner(data, Words(count), metrics=[course.accuracy, course.error_rate])
    learn.silent = True
    learn.fit_one_cycle(8, 0.05)
    loss, right, wrong = learn.validate()
    assert right > 0.9
    assert wrong == pytest.approx(1 - right)
    x, y = data.one_batch(course.DatasetType.Valid)
    with torch.no_grad():
        one = F.cross_entropy(learn.model.eval()(x).flatten(0, 1), y.flatten())
    assert loss == pytest.approx(float(one), abs=0.15)
    assert {"accuracy", "error_rate"} <= {*learn.history[-1]}


def test_losses_and_metrics_of_ones_own_get_what_the_network_gives():
    data = stream().databunch(bs=4, bptt=3)
    learn = course.Learner(
        data,
        Words(data.c, last=True),
        loss_func=lambda outputs, y: F.cross_entropy(outputs, y[:, -1]),
        metrics=lambda outputs, y: course.accuracy(outputs, y[:, -1]),
        silent=True,
    )
    learn.fit_one_cycle(8, 0.05)
    assert learn.validate()[1] > 0.9


# Lessons of other fields: each stops at its first name, with the reason.

ELSEWHERE = {
    "tables": """
from onecycle.course.tabular import *
procs = [FillMissing, Categorify, Normalize]
test = TabularList.from_df(df=None, path='.', cat_names=[], cont_names=[])
""",
    "recommendations": """
from onecycle.course.collab import *
data = CollabDataBunch.from_df(None, seed=42)
""",
    "dates": """
from onecycle.course.tabular import *
add_datepart(None, 'Date', drop=False)
""",
    "critic": """
from onecycle.course.vision import *
from onecycle.course.vision.gan import *
data = GANItemList.from_folder('.', noise_sz=100)
""",
    "pictures": """
from onecycle.course.vision import *
from onecycle.course.callbacks import *
src = ImageImageList.from_folder('.')
""",
}
REASONS = {
    "tables": "TabularList .*tables.*scikit-learn",
    "recommendations": "CollabDataBunch .*recommendations.*scikit-learn",
    "dates": "add_datepart .*tables",
    "critic": "GANItemList .*critic.*plain torch",
    "pictures": "ImageImageList .*images as answers.*plain torch",
}


@pytest.mark.parametrize("field", ELSEWHERE)
def test_a_lesson_of_another_field_says_why_and_what_to_use(field):
    with pytest.raises(UsageError, match=REASONS[field]):
        program(ELSEWHERE[field])
