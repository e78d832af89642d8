# Written by scripts/write_stubs.py: change the table of names, and run it again.

from onecycle.core.machine import defaults as defaults
from onecycle.core.paths import Path as Path
from onecycle.core.paths import ls as ls
from onecycle.core.plot import plot_multi as plot_multi
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
from onecycle.interpret.words import word_scores as word_scores
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
from onecycle.learn.metrics import perplexity as perplexity
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
from onecycle.models.awd_lstm import AWD_LSTM as AWD_LSTM
from onecycle.runtime.hub import from_hub as from_hub
from onecycle.runtime.inputs.subwords import train_subwords as train_subwords
from onecycle.runtime.inputs.text import Vocab as Vocab
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
from onecycle.text.corpus import Text as Text
from onecycle.text.learner import language_model_learner as language_model_learner
from onecycle.text.learner import text_classifier_learner as text_classifier_learner
from onecycle.text.learners import Ensemble as Ensemble
from onecycle.text.lists import TextClasDataBunch as TextClasDataBunch
from onecycle.text.lists import TextDataBunch as TextDataBunch
from onecycle.text.lists import TextLMDataBunch as TextLMDataBunch
from onecycle.text.lists import TextList as TextList
from onecycle.text.saved import load_data as load_data

__all__ = [
    "AWD_LSTM",
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
    "Ensemble",
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
    "StopFit",
    "TensorBoardLogger",
    "Text",
    "TextClasDataBunch",
    "TextDataBunch",
    "TextLMDataBunch",
    "TextList",
    "Tracker",
    "URLs",
    "Vocab",
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
    "from_hub",
    "guitars_sample",
    "hands_sample",
    "higher_is_better",
    "language_model_learner",
    "load_data",
    "load_learner",
    "lower_is_better",
    "lr_find",
    "ls",
    "mae",
    "mean_absolute_error",
    "mean_squared_error",
    "mse",
    "perplexity",
    "planet_sample",
    "plot_multi",
    "precision",
    "r2",
    "r2_score",
    "recall",
    "reviews_sample",
    "rmse",
    "root_mean_squared_error",
    "set_seed",
    "soup",
    "streets_sample",
    "text_classifier_learner",
    "top_k_accuracy",
    "train_subwords",
    "untar_data",
    "whole_set",
    "word_scores",
    "write_report",
    "write_site",
]
