# Written by scripts/write_stubs.py: change the table of names, and run it again.

from onecycle.core.machine import defaults as defaults
from onecycle.core.paths import Path as Path
from onecycle.core.paths import ls as ls
from onecycle.core.plot import plot_multi as plot_multi
from onecycle.data.arrays import TensorList as TensorList
from onecycle.data.arrays import from_arrays as from_arrays
from onecycle.data.databunch import DataBunch as DataBunch
from onecycle.data.databunch import DatasetType as DatasetType
from onecycle.data.lists import ItemList as ItemList
from onecycle.data.targets import Category as Category
from onecycle.data.targets import MultiCategory as MultiCategory
from onecycle.data.targets import Numbers as Numbers
from onecycle.fetch.archives import extract as extract
from onecycle.fetch.download import download as download
from onecycle.fetch.images import download_images as download_images
from onecycle.fetch.urls import Config as Config
from onecycle.fetch.urls import URLs as URLs
from onecycle.fetch.urls import untar_data as untar_data
from onecycle.interpret.classification import ClassificationInterpretation as ClassificationInterpretation
from onecycle.interpret.classification import Interpretation as Interpretation
from onecycle.interpret.classification import MultiLabelInterpretation as MultiLabelInterpretation
from onecycle.interpret.classification import SegmentationInterpretation as SegmentationInterpretation
from onecycle.interpret.classification import best_threshold as best_threshold
from onecycle.interpret.report import write_report as write_report
from onecycle.learn.averaging import ModelEMA as ModelEMA
from onecycle.learn.averaging import soup as soup
from onecycle.learn.calibration import calibration_error as calibration_error
from onecycle.learn.callback import Callback as Callback
from onecycle.learn.callback import StopFit as StopFit
from onecycle.learn.callbacks import CutMix as CutMix
from onecycle.learn.callbacks import EarlyStopping as EarlyStopping
from onecycle.learn.callbacks import GradientClipping as GradientClipping
from onecycle.learn.callbacks import MixUp as MixUp
from onecycle.learn.callbacks import ReduceLROnPlateau as ReduceLROnPlateau
from onecycle.learn.callbacks import SaveModel as SaveModel
from onecycle.learn.cross_validation import cross_validate as cross_validate
from onecycle.learn.learner import Learner as Learner
from onecycle.learn.losses import LabelSmoothingCrossEntropy as LabelSmoothingCrossEntropy
from onecycle.learn.losses import balanced_loss as balanced_loss
from onecycle.learn.lr_find import lr_find as lr_find
from onecycle.learn.metric import higher_is_better as higher_is_better
from onecycle.learn.metric import lower_is_better as lower_is_better
from onecycle.learn.metric import whole_set as whole_set
from onecycle.learn.metrics import accuracy as accuracy
from onecycle.learn.metrics import accuracy_thresh as accuracy_thresh
from onecycle.learn.metrics import auroc as auroc
from onecycle.learn.metrics import average_precision as average_precision
from onecycle.learn.metrics import error_rate as error_rate
from onecycle.learn.metrics import f1 as f1
from onecycle.learn.metrics import fbeta as fbeta
from onecycle.learn.metrics import mae as mae
from onecycle.learn.metrics import mean_absolute_error as mean_absolute_error
from onecycle.learn.metrics import mean_squared_error as mean_squared_error
from onecycle.learn.metrics import mse as mse
from onecycle.learn.metrics import precision as precision
from onecycle.learn.metrics import r2 as r2
from onecycle.learn.metrics import r2_score as r2_score
from onecycle.learn.metrics import recall as recall
from onecycle.learn.metrics import rmse as rmse
from onecycle.learn.metrics import root_mean_squared_error as root_mean_squared_error
from onecycle.learn.metrics import top_k_accuracy as top_k_accuracy
from onecycle.learn.recorder import CSVLogger as CSVLogger
from onecycle.learn.recorder import TensorBoardLogger as TensorBoardLogger
from onecycle.learn.resume import Checkpoint as Checkpoint
from onecycle.learn.seed import set_seed as set_seed
from onecycle.learn.tracker import Tracker as Tracker
from onecycle.models.head import mlp as mlp
from onecycle.runtime.hub import from_hub as from_hub
from onecycle.runtime.predictor import Predictor as Predictor
from onecycle.runtime.predictor import load_learner as load_learner
from onecycle.runtime.site import write_site as write_site
from onecycle.samples.butterflies import butterflies_sample as butterflies_sample
from onecycle.samples.faces import faces_sample as faces_sample
from onecycle.samples.guitars import guitars_sample as guitars_sample
from onecycle.samples.hands import hands_sample as hands_sample
from onecycle.samples.planet import planet_sample as planet_sample
from onecycle.samples.reviews import reviews_sample as reviews_sample
from onecycle.samples.streets import streets_sample as streets_sample
from onecycle.series.encode import gadf as gadf
from onecycle.series.encode import gasf as gasf
from onecycle.series.encode import jitter as jitter
from onecycle.series.encode import mtf as mtf
from onecycle.series.encode import recurrence as recurrence
from onecycle.series.encode import scaling as scaling
from onecycle.series.encode import series_transforms as series_transforms
from onecycle.series.encode import window_warp as window_warp
from onecycle.series.learner import series_learner as series_learner
from onecycle.series.lists import SeriesList as SeriesList
import onecycle.models as models

__all__ = [
    "CSVLogger",
    "Callback",
    "Category",
    "Checkpoint",
    "ClassificationInterpretation",
    "Config",
    "CutMix",
    "DataBunch",
    "DatasetType",
    "EarlyStopping",
    "GradientClipping",
    "Interpretation",
    "ItemList",
    "LabelSmoothingCrossEntropy",
    "Learner",
    "MixUp",
    "ModelEMA",
    "MultiCategory",
    "MultiLabelInterpretation",
    "Numbers",
    "Path",
    "Predictor",
    "ReduceLROnPlateau",
    "SaveModel",
    "SegmentationInterpretation",
    "SeriesList",
    "StopFit",
    "TensorBoardLogger",
    "TensorList",
    "Tracker",
    "URLs",
    "accuracy",
    "accuracy_thresh",
    "auroc",
    "average_precision",
    "balanced_loss",
    "best_threshold",
    "butterflies_sample",
    "calibration_error",
    "cross_validate",
    "defaults",
    "download",
    "download_images",
    "error_rate",
    "extract",
    "f1",
    "faces_sample",
    "fbeta",
    "from_arrays",
    "from_hub",
    "gadf",
    "gasf",
    "guitars_sample",
    "hands_sample",
    "higher_is_better",
    "jitter",
    "load_learner",
    "lower_is_better",
    "lr_find",
    "ls",
    "mae",
    "mean_absolute_error",
    "mean_squared_error",
    "mlp",
    "models",
    "mse",
    "mtf",
    "planet_sample",
    "plot_multi",
    "precision",
    "r2",
    "r2_score",
    "recall",
    "recurrence",
    "reviews_sample",
    "rmse",
    "root_mean_squared_error",
    "scaling",
    "series_learner",
    "series_transforms",
    "set_seed",
    "soup",
    "streets_sample",
    "top_k_accuracy",
    "untar_data",
    "whole_set",
    "window_warp",
    "write_report",
    "write_site",
]
