"""Every name the course's programs use: ours, other libraries', and what to use instead."""

from dataclasses import dataclass
from importlib import import_module
from typing import Any, NoReturn

from onecycle.core.errors import UsageError
from onecycle.names import PROGRAMS

_LISTS = {
    "plain": "collections contextlib copy csv gc gzip hashlib inspect io itertools json math "
    "operator os random re shutil string subprocess sys tarfile time torch types typing "
    "warnings",
    "own": "array tensor doc DatasetFormatter SaveModelCallback EarlyStoppingCallback "
    "ReduceLROnPlateauCallback MixUpCallback gpu_mem_get gpu_mem_get_free "
    "gpu_mem_get_free_no_cache hook_output hook_outputs model_sizes num_features_model",
    "blocks": "BatchNorm1dFlat Lambda MergeLayer SequentialEx children conv_layer flatten_model "
    "requires_grad res_block show_image trainable_params",
    "lessons": "DataBunch ItemLists Learner",
    "tables": "CollabDataBunch CollabLine CollabList EmbeddingDotBias EmbeddingNN collab_learner "
    "TabularList TabularDataBunch TabularModel tabular_learner FillMissing Categorify Normalize "
    "add_datepart add_cyclic_datepart cont_cat_split exp_rmspe",
    "gans": "AdaptiveLoss FixedGANSwitcher AdaptiveGANSwitcher GANDiscriminativeLR GANItemList "
    "GANLearner GANLoss GANModule GANTrainer NoisyItem basic_critic basic_generator gan_critic "
    "gan_loss_from_func",
    "images": "ImageImageList ImageTuple LossMetrics resize_to",
    "architectures": "resnet18 resnet34 resnet50 resnet101 resnet152 vgg16_bn vgg19_bn "
    "densenet121 densenet161 densenet169 densenet201",  # others are had by their names
}
ARCHITECTURES = _LISTS["architectures"].split()
FOREIGN = {name: name for name in _LISTS["plain"].split()} | {
    "BytesIO": "io:BytesIO",
    "Counter": "collections:Counter",
    "AdaptiveConcatPool2d": "onecycle.models.head:AdaptiveConcatPool2d",
    "DataLoader": "torch.utils.data:DataLoader",
    "Dataset": "torch.utils.data:Dataset",
    "F": "torch.nn.functional",
    "Flatten": "torch.nn:Flatten",
    "OrderedDict": "collections:OrderedDict",
    "Tensor": "torch:Tensor",
    "TensorDataset": "torch.utils.data:TensorDataset",
    "defaultdict": "collections:defaultdict",
    "itemgetter": "operator:itemgetter",
    "nn": "torch.nn",
    "np": "numpy",
    "optim": "torch.optim",
    "partial": "functools:partial",
    "patches": "matplotlib.patches",
    "pd": "pandas",
    "plt": "matplotlib.pyplot",
    "reduce": "functools:reduce",
}
_HOMES = {"own": "tools", "blocks": "blocks", "lessons": "lessons"}
_OWN = {
    name: f"onecycle.course.{home}:{name}"
    for names, home in _HOMES.items()
    for name in _LISTS[names].split()
}
_INSTEAD = {
    "ImageCleaner": "needs a notebook's widgets; run `onecycle clean` for the same as a local page",
    "FloatList": "is `Numbers` here: label_cls=Numbers",
    "CategoryList": "is `Category` here: label_cls=Category",
    "MultiCategoryList": "is `MultiCategory` here: label_cls=MultiCategory",
    "LanguageLearner": "is made by language_model_learner(data, AWD_LSTM)",
    "AverageMetric": "is not needed: a metric is a function of (outputs, y), averaged over items",
    "MSELossFlat": "is what numbers and points are trained with here; leave loss_func out",
    "LabelList": "is data.train_ds, data.valid_ds or data.test_ds here",
    "MultiLabelClassificationInterpretation": "is MultiLabelInterpretation here",
    "batch_stats": "is `.normalize()` without statistics: those of a batch are taken",
    "AUROC": "is the metric `auroc` here: metrics=auroc",
    "FBeta": "is the metric `f1` here, for one label, or `fbeta` for several",
    "MultiLabelFbeta": "is the metric `fbeta` here, over the whole set: partial(fbeta, thresh=0.2)",
    "parallel": "is ThreadPoolExecutor().map(func, items) of concurrent.futures here",
    "DynamicUnet": "is made by unet_learner",
    "NormType": 'is a word here: unet_learner(norm_type="weight")',
}
_FIELDS = {
    "tables": "is for tables and recommendations, which onecycle leaves to scikit-learn and its "
    "kind",
    "gans": "is for networks that make images against a critic, which onecycle leaves to plain "
    "torch: it trains what has one answer for each item",
    "images": "is for images as answers (super-resolution), which onecycle does not train: write "
    "that loop in plain torch; a class, a mask, points or boxes for each image are answers here",
}
_INSTEAD |= {name: why for field, why in _FIELDS.items() for name in _LISTS[field].split()}
COURSE: dict[str, str] = PROGRAMS | FOREIGN | _OWN
UNSUPPORTED = {name: why for name, why in _INSTEAD.items() if name not in COURSE}


@dataclass(frozen=True)
class Unsupported:
    """Stands for a name of the course that onecycle has not; any use says what to do."""

    name: str
    why: str

    def _refuse(self) -> NoReturn:
        raise UsageError(f"{self.name} {self.why}")

    def __call__(self, *args: Any, **options: Any) -> NoReturn:
        self._refuse()

    def __mro_entries__(self, bases: tuple[Any, ...]) -> NoReturn:
        self._refuse()

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("__"):
            raise AttributeError(name)
        self._refuse()


def namespace(module: str) -> dict[str, Any]:
    """`__getattr__`, `__dir__` and `__all__` of one of the course's modules."""
    of_models = module.endswith(".models")
    more = ARCHITECTURES if of_models else []
    names = sorted({*COURSE, *UNSUPPORTED, *more})

    def get(name: str) -> Any:
        if name in UNSUPPORTED:
            return Unsupported(name, UNSUPPORTED[name])
        if name not in COURSE:
            if of_models and not name.startswith("_"):
                return getattr(import_module("onecycle.models"), name)
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        home, _, attribute = COURSE[name].partition(":")
        found = import_module(home)
        if not attribute and (name in FOREIGN or name not in vars(found)):
            return found
        return getattr(found, attribute or name)

    return {"__getattr__": get, "__dir__": lambda: names, "__all__": names}
