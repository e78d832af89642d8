"""Every name of the course is there, or says what to use instead."""

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

from onecycle.core.errors import UsageError
from onecycle.course.table import COURSE, UNSUPPORTED, Unsupported

MODULES = [
    "course",
    "course.vision",
    "course.text",
    "course.basics",
    "course.metrics",
    "course.widgets",
    "course.collab",
    "course.tabular",
    "course.callbacks",
    "course.callbacks.hooks",
    "course.utils",
    "course.utils.mem",
    *(
        f"course.{name}"
        for name in "basic_data basic_train callback callbacks.csv_logger callbacks.mixup "
        "callbacks.tracker core data_block datasets imports layers text.data text.learner "
        "text.models text.transform torch_core train vision.data vision.gan vision.image "
        "vision.interpret vision.learner vision.models vision.transform vision.tta".split()
    ),
]
PROGRAMS_USE = """
untar_data URLs Config Path ls get_image_files download_images verify_images
open_image open_mask Image ImageSegment ImagePoints FlowField plot_multi imagenet_stats
get_transforms models ImageDataBunch DataBunch DatasetType
ItemList ImageList SegmentationItemList PointsItemList
TextList Text TextDataBunch TextClasDataBunch TextLMDataBunch load_data AWD_LSTM
cnn_learner create_cnn unet_learner language_model_learner text_classifier_learner
Learner defaults lr_find load_learner TTA
ClassificationInterpretation DatasetFormatter doc
gpu_mem_get_free_no_cache gpu_mem_get_free gpu_mem_get
error_rate accuracy accuracy_thresh fbeta foreground_acc
SaveModelCallback EarlyStoppingCallback ReduceLROnPlateauCallback MixUpCallback
model_sizes hook_output hook_outputs num_features_model
DataBunch ItemLists TensorDataset Flatten conv_layer res_block SequentialEx MergeLayer Lambda
BatchNorm1dFlat AdaptiveConcatPool2d flatten_model children requires_grad show_image gzip
tensor array partial torch nn F optim np pd plt gc itemgetter BytesIO re os sys math random
""".split()
NOT_HERE = """
ImageCleaner CollabDataBunch collab_learner TabularList TabularDataBunch tabular_learner
FillMissing Categorify Normalize FBeta AUROC MultiLabelFbeta
GANLearner GANItemList basic_generator basic_critic gan_critic AdaptiveLoss FixedGANSwitcher
ImageImageList NormType add_datepart cont_cat_split EmbeddingDotBias
""".split()


@pytest.mark.parametrize("name", MODULES)
def test_each_module_hands_out_every_name(name):
    module = importlib.import_module(f"onecycle.{name}")
    for wanted in PROGRAMS_USE:
        assert not isinstance(getattr(module, wanted), Unsupported), wanted
    assert set(PROGRAMS_USE) <= set(module.__all__)


def test_architectures_are_had_from_the_courses_modules_of_models_and_beside_them():
    names = {}
    exec("from onecycle.course.text.models import *\nfrom onecycle.course.text import *", names)
    assert names["models"].resnet34 == names["resnet34"]
    exec("from onecycle.course.vision.models import *\nfrom onecycle.course.vision import *", names)
    assert names["models"].squeezenet1_1.name == "squeezenet1_1"
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("onecycle.course.vision.models.awd_lstm")


def test_every_name_of_the_table_can_be_had():
    course = importlib.import_module("onecycle.course")
    for name in COURSE:
        getattr(course, name)
    with pytest.raises(AttributeError):
        course.no_such_name()


def test_the_names_that_are_not_here_are_known():
    assert set(NOT_HERE) <= set(UNSUPPORTED)


@pytest.mark.parametrize("name", UNSUPPORTED)
def test_what_is_not_supported_says_so_when_it_is_used_and_not_before(name):
    thing = getattr(importlib.import_module("onecycle.course"), name)
    for use in (lambda: thing(1), lambda: thing.from_csv):
        with pytest.raises(UsageError, match=name):
            use()


def test_a_path_lists_its_folder_and_pathlib_stays_as_it_was():
    from onecycle.course import Path as Listing

    assert any(p.name == "course" for p in Listing(__file__).parent.parent.ls())
    assert not hasattr(Path, "ls")


def test_importing_the_table_loads_nothing_heavy():
    code = "import sys, onecycle.course; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "False"


def test_tensor_takes_numbers_lists_and_arrays():
    from onecycle.course import array, np, tensor

    assert tensor(3.0, 2).tolist() == [3.0, 2.0]
    assert tensor([1, 2]).tolist() == [1, 2]
    assert tensor(np.array([1.5])).dtype.is_floating_point
    assert array(str(i) for i in range(3)).tolist() == ["0", "1", "2"]


def test_model_sizes_says_what_each_layer_puts_out():
    from onecycle.course import model_sizes, nn, num_features_model

    model = nn.Sequential(nn.Conv2d(3, 8, 3, stride=2, padding=1), nn.Conv2d(8, 16, 3, padding=1))
    assert [tuple(s) for s in model_sizes(model)] == [(1, 8, 32, 32), (1, 16, 32, 32)]
    assert num_features_model(model) == 16
    assert model.training


def test_looking_at_a_model_leaves_every_mode_as_it_was():
    import torch

    from onecycle.course.layers import num_features_model

    model = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 80), torch.nn.BatchNorm2d(4)).train()
    model[1].eval()
    assert num_features_model(model) == 4  # at 64 pixels it fails
    assert [module.training for module in model.modules()] == [True, True, False]


def test_what_the_courses_objects_had_says_what_to_use():
    from onecycle import course

    data = course.from_arrays(course.np.zeros((8, 2), "float32"), [0, 1] * 4, bs=2)
    learn = course.Learner(data, course.nn.Linear(2, 2), silent=True)
    for thing, name, advice in (
        (learn, "purge", "destroy"),
        (learn, "pred_batch", "get_preds"),
        (data, "export", "learn.export"),
        (learn, "bias", "recommendations"),
        (learn, "weight", "recommendations"),
        (learn, "callback_fns", r"callbacks=\["),
    ):
        with pytest.raises(AttributeError, match=advice):
            getattr(thing, name)
    with pytest.raises(UsageError, match=r"callbacks=\["):
        course.Learner(data, course.nn.Linear(2, 2), callback_fns=[course.SaveModelCallback])


def test_a_learner_without_data_is_a_loaded_one():
    from onecycle import course

    with pytest.raises(UsageError, match=r"single_from_classes.*load_learner\(path\)\.predict"):
        course.ImageDataBunch.single_from_classes(".", ["a"], ds_tfms=None).normalize()


@pytest.mark.parametrize("name", ["batch_size", "train_dl", "mine"])
def test_data_that_is_to_be_changed_says_how_it_is_made_anew(name):
    from onecycle import course

    data = course.from_arrays(course.np.zeros((8, 2), "float32"), [0, 1] * 4, bs=2)
    with pytest.raises(AttributeError, match=rf"{name!r}.*databunch\(bs="):
        setattr(data, name, 2)
    assert data.batch_size == 2


def test_devices_that_do_not_exist_are_refused_where_data_is_made():
    from onecycle import course

    with pytest.raises(UsageError, match='"cuda:0"'):
        course.from_arrays(course.np.zeros((8, 2), "float32"), [0, 1] * 4, bs=2, device="gpu")


@pytest.mark.parametrize(
    ("name", "near"),
    [("MNIST_SAMPLES", "MNIST_SAMPLE"), ("mnist", "MNIST"), ("xyz", "PETS, CAMVID")],
)
def test_an_unknown_address_names_those_that_are_near(name, near):
    from onecycle import URLs

    with pytest.raises(AttributeError, match=f"no {name!r}.*{near}"):
        getattr(URLs, name)


def test_sizes_of_a_body_are_those_of_its_layers():
    from onecycle.course.layers import model_sizes, num_features_model
    from onecycle.models.body import create_body

    body = create_body("resnet18", pretrained=False)
    found = model_sizes(body, 64)
    assert found[-1] == (1, 512, 2, 2)
    assert len(found) > 4
    assert num_features_model(body) == 512


def test_what_stands_for_a_missing_class_cannot_be_inherited_from():
    from onecycle import course

    with pytest.raises(UsageError, match="not needed"):

        class Mine(course.AverageMetric):
            pass
