# Written by scripts/write_stubs.py: change the table of names, and run it again.

from onecycle.core.display import Table as Table
from onecycle.core.errors import ArchiveError as ArchiveError
from onecycle.core.errors import CheckpointError as CheckpointError
from onecycle.core.errors import DamagedImageError as DamagedImageError
from onecycle.core.errors import DataError as DataError
from onecycle.core.errors import DivergedError as DivergedError
from onecycle.core.errors import DownloadError as DownloadError
from onecycle.core.errors import EmptyDataError as EmptyDataError
from onecycle.core.errors import ExportError as ExportError
from onecycle.core.errors import HubError as HubError
from onecycle.core.errors import ImageError as ImageError
from onecycle.core.errors import LabelError as LabelError
from onecycle.core.errors import ModelError as ModelError
from onecycle.core.errors import OnecycleError as OnecycleError
from onecycle.core.errors import OnecycleWarning as OnecycleWarning
from onecycle.core.errors import SizeError as SizeError
from onecycle.core.errors import TableError as TableError
from onecycle.core.errors import TrainingError as TrainingError
from onecycle.core.errors import UsageError as UsageError
from onecycle.core.errors import WeightsError as WeightsError
from onecycle.core.errors import WriteError as WriteError
from onecycle.core.machine import defaults as defaults
from onecycle.core.path_list import PathList as PathList
from onecycle.core.paths import Path as Path
from onecycle.core.paths import ls as ls
from onecycle.core.plot import plot_multi as plot_multi
from onecycle.core.walk import FileKind as FileKind
from onecycle.data.arrays import ArrayInput as ArrayInput
from onecycle.data.arrays import Row as Row
from onecycle.data.arrays import TensorList as TensorList
from onecycle.data.arrays import from_arrays as from_arrays
from onecycle.data.checks import Side as Side
from onecycle.data.databunch import DataBunch as DataBunch
from onecycle.data.databunch import DatasetType as DatasetType
from onecycle.data.databunch import LabelledItems as LabelledItems
from onecycle.data.items import Items as Items
from onecycle.data.label_list import LabelList as LabelList
from onecycle.data.label_list import Labels as Labels
from onecycle.data.labels import SplitItems as SplitItems
from onecycle.data.lists import ItemList as ItemList
from onecycle.data.looks import Look as Look
from onecycle.data.report import DataReport as DataReport
from onecycle.data.report import ReportRow as ReportRow
from onecycle.data.targets import Category as Category
from onecycle.data.targets import MultiCategory as MultiCategory
from onecycle.data.targets import Numbers as Numbers
from onecycle.data.targets import Target as Target
from onecycle.data.task import Batches as Batches
from onecycle.data.task import Input as Input
from onecycle.data.task import Task as Task
from onecycle.data.unreadable import Substitutes as Substitutes
from onecycle.fetch.archives import Limits as Limits
from onecycle.fetch.archives import extract as extract
from onecycle.fetch.download import Patience as Patience
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
from onecycle.interpret.words import WordScores as WordScores
from onecycle.interpret.words import word_scores as word_scores
from onecycle.learn.averaging import ModelEMA as ModelEMA
from onecycle.learn.averaging import soup as soup
from onecycle.learn.calibration import Calibration as Calibration
from onecycle.learn.calibration import calibration_error as calibration_error
from onecycle.learn.callback import Callback as Callback
from onecycle.learn.callback import Run as Run
from onecycle.learn.callback import StopFit as StopFit
from onecycle.learn.callbacks import CutMix as CutMix
from onecycle.learn.callbacks import EarlyStopping as EarlyStopping
from onecycle.learn.callbacks import GradientClipping as GradientClipping
from onecycle.learn.callbacks import MixUp as MixUp
from onecycle.learn.callbacks import ReduceLROnPlateau as ReduceLROnPlateau
from onecycle.learn.callbacks import SaveModel as SaveModel
from onecycle.learn.compiler import Compiler as Compiler
from onecycle.learn.cross_validation import CrossValidation as CrossValidation
from onecycle.learn.cross_validation import cross_validate as cross_validate
from onecycle.learn.engine import Engine as Engine
from onecycle.learn.held_out import Evaluation as Evaluation
from onecycle.learn.held_out import Figure as Figure
from onecycle.learn.learner import Learner as Learner
from onecycle.learn.losses import CombinedLoss as CombinedLoss
from onecycle.learn.losses import CrossEntropyFlat as CrossEntropyFlat
from onecycle.learn.losses import DiceLoss as DiceLoss
from onecycle.learn.losses import FocalLoss as FocalLoss
from onecycle.learn.losses import LabelSmoothingCrossEntropy as LabelSmoothingCrossEntropy
from onecycle.learn.losses import balanced_loss as balanced_loss
from onecycle.learn.lr_find import RateCurve as RateCurve
from onecycle.learn.lr_find import lr_find as lr_find
from onecycle.learn.metric import Metric as Metric
from onecycle.learn.metric import higher_is_better as higher_is_better
from onecycle.learn.metric import lower_is_better as lower_is_better
from onecycle.learn.metric import whole_set as whole_set
from onecycle.learn.metrics import accuracy as accuracy
from onecycle.learn.metrics import accuracy_thresh as accuracy_thresh
from onecycle.learn.metrics import auroc as auroc
from onecycle.learn.metrics import average_precision as average_precision
from onecycle.learn.metrics import dice as dice
from onecycle.learn.metrics import error_rate as error_rate
from onecycle.learn.metrics import f1 as f1
from onecycle.learn.metrics import fbeta as fbeta
from onecycle.learn.metrics import foreground_acc as foreground_acc
from onecycle.learn.metrics import mae as mae
from onecycle.learn.metrics import mean_absolute_error as mean_absolute_error
from onecycle.learn.metrics import mean_iou as mean_iou
from onecycle.learn.metrics import mean_squared_error as mean_squared_error
from onecycle.learn.metrics import mse as mse
from onecycle.learn.metrics import perplexity as perplexity
from onecycle.learn.metrics import pixel_accuracy as pixel_accuracy
from onecycle.learn.metrics import precision as precision
from onecycle.learn.metrics import r2 as r2
from onecycle.learn.metrics import r2_score as r2_score
from onecycle.learn.metrics import recall as recall
from onecycle.learn.metrics import rmse as rmse
from onecycle.learn.metrics import root_mean_squared_error as root_mean_squared_error
from onecycle.learn.metrics import top_k_accuracy as top_k_accuracy
from onecycle.learn.optimizer import GroupedOptimizer as GroupedOptimizer
from onecycle.learn.options import FitOptions as FitOptions
from onecycle.learn.options import LearnerOptions as LearnerOptions
from onecycle.learn.predictions import Predictions as Predictions
from onecycle.learn.recorder import CSVLogger as CSVLogger
from onecycle.learn.recorder import Recorder as Recorder
from onecycle.learn.recorder import TensorBoardLogger as TensorBoardLogger
from onecycle.learn.resume import Checkpoint as Checkpoint
from onecycle.learn.seed import set_seed as set_seed
from onecycle.learn.tracker import Tracker as Tracker
from onecycle.models.architectures import Architecture as Architecture
from onecycle.models.awd_lstm import AWD_LSTM as AWD_LSTM
from onecycle.models.head import mlp as mlp
from onecycle.runtime.hub import from_hub as from_hub
from onecycle.runtime.inputs.image import ImageSpec as ImageSpec
from onecycle.runtime.inputs.subwords import train_subwords as train_subwords
from onecycle.runtime.inputs.text import Vocab as Vocab
from onecycle.runtime.kinds import Answer as Answer
from onecycle.runtime.kinds import InputSpec as InputSpec
from onecycle.runtime.kinds import TargetSpec as TargetSpec
from onecycle.runtime.predictor import LoadedData as LoadedData
from onecycle.runtime.predictor import LoadedLearner as LoadedLearner
from onecycle.runtime.predictor import Prediction as Prediction
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
from onecycle.series.encode import series_transforms as series_transforms
from onecycle.series.learner import SeriesLearner as SeriesLearner
from onecycle.series.learner import series_learner as series_learner
from onecycle.series.lists import SeriesList as SeriesList
from onecycle.text.corpus import Text as Text
from onecycle.text.learner import language_model_learner as language_model_learner
from onecycle.text.learner import text_classifier_learner as text_classifier_learner
from onecycle.text.learners import Ensemble as Ensemble
from onecycle.text.learners import LanguageLearner as LanguageLearner
from onecycle.text.learners import TextLearner as TextLearner
from onecycle.text.lists import TextClasDataBunch as TextClasDataBunch
from onecycle.text.lists import TextDataBunch as TextDataBunch
from onecycle.text.lists import TextLMDataBunch as TextLMDataBunch
from onecycle.text.lists import TextList as TextList
from onecycle.text.pretrained import Encoder as Encoder
from onecycle.text.saved import load_data as load_data
from onecycle.version import __version__ as __version__
from onecycle.vision.annotations.write import to_coco as to_coco
from onecycle.vision.augment import brightness as brightness
from onecycle.vision.augment import contrast as contrast
from onecycle.vision.augment import crop as crop
from onecycle.vision.augment import crop_pad as crop_pad
from onecycle.vision.augment import cutout as cutout
from onecycle.vision.augment import dihedral as dihedral
from onecycle.vision.augment import dihedral_affine as dihedral_affine
from onecycle.vision.augment import flip_affine as flip_affine
from onecycle.vision.augment import flip_lr as flip_lr
from onecycle.vision.augment import flip_ud as flip_ud
from onecycle.vision.augment import get_transforms as get_transforms
from onecycle.vision.augment import jitter as jitter
from onecycle.vision.augment import perspective_warp as perspective_warp
from onecycle.vision.augment import rand_crop as rand_crop
from onecycle.vision.augment import rand_pad as rand_pad
from onecycle.vision.augment import rand_resize_crop as rand_resize_crop
from onecycle.vision.augment import rand_zoom as rand_zoom
from onecycle.vision.augment import rgb_randomize as rgb_randomize
from onecycle.vision.augment import rotate as rotate
from onecycle.vision.augment import skew as skew
from onecycle.vision.augment import squish as squish
from onecycle.vision.augment import symmetric_warp as symmetric_warp
from onecycle.vision.augment import tilt as tilt
from onecycle.vision.augment import zoom as zoom
from onecycle.vision.augment import zoom_crop as zoom_crop
from onecycle.vision.box_metrics import mean_ap as mean_ap
from onecycle.vision.box_metrics import mean_ap50 as mean_ap50
from onecycle.vision.boxes import Boxes as Boxes
from onecycle.vision.checks import verify_images as verify_images
from onecycle.vision.image import FlowField as FlowField
from onecycle.vision.image import Image as Image
from onecycle.vision.image import ImagePoints as ImagePoints
from onecycle.vision.image import ImageSegment as ImageSegment
from onecycle.vision.image import open_image as open_image
from onecycle.vision.image import open_mask as open_mask
from onecycle.vision.input import ImageInput as ImageInput
from onecycle.vision.input import half_stats as half_stats
from onecycle.vision.input import imagenet_stats as imagenet_stats
from onecycle.vision.learner import ImageLearner as ImageLearner
from onecycle.vision.learner import cnn_learner as cnn_learner
from onecycle.vision.learner import create_cnn as create_cnn
from onecycle.vision.learner import detection_learner as detection_learner
from onecycle.vision.learner import unet_learner as unet_learner
from onecycle.vision.lists import ImageDataBunch as ImageDataBunch
from onecycle.vision.lists import ImageList as ImageList
from onecycle.vision.lists import ObjectItemList as ObjectItemList
from onecycle.vision.lists import PointsItemList as PointsItemList
from onecycle.vision.lists import SegmentationItemList as SegmentationItemList
from onecycle.vision.lists import get_image_files as get_image_files
from onecycle.vision.pixel_cache import PixelCache as PixelCache
from onecycle.vision.policies import aug_mix as aug_mix
from onecycle.vision.policies import rand_augment as rand_augment
from onecycle.vision.policies import trivial_augment as trivial_augment
from onecycle.vision.targets import Mask as Mask
from onecycle.vision.targets import Points as Points
from onecycle.vision.transform import Transform as Transform
from onecycle.vision.tta import TTA as TTA
from onecycle.vision.warp import Plan as Plan
import onecycle.models as models

__all__ = [
    "AWD_LSTM",
    "Answer",
    "Architecture",
    "ArchiveError",
    "ArrayInput",
    "Batches",
    "Boxes",
    "CSVLogger",
    "Calibration",
    "Callback",
    "Category",
    "Checkpoint",
    "CheckpointError",
    "ClassificationInterpretation",
    "CombinedLoss",
    "Compiler",
    "Config",
    "CrossEntropyFlat",
    "CrossValidation",
    "CutMix",
    "DamagedImageError",
    "DataBunch",
    "DataError",
    "DataReport",
    "DatasetType",
    "DiceLoss",
    "DivergedError",
    "DownloadError",
    "EarlyStopping",
    "EmptyDataError",
    "Encoder",
    "Engine",
    "Ensemble",
    "Evaluation",
    "ExportError",
    "Figure",
    "FileKind",
    "FitOptions",
    "FlowField",
    "FocalLoss",
    "GradientClipping",
    "GroupedOptimizer",
    "HubError",
    "Image",
    "ImageDataBunch",
    "ImageError",
    "ImageInput",
    "ImageLearner",
    "ImageList",
    "ImagePoints",
    "ImageSegment",
    "ImageSpec",
    "Input",
    "InputSpec",
    "Interpretation",
    "ItemList",
    "Items",
    "LabelError",
    "LabelList",
    "LabelSmoothingCrossEntropy",
    "LabelledItems",
    "Labels",
    "LanguageLearner",
    "Learner",
    "LearnerOptions",
    "Limits",
    "LoadedData",
    "LoadedLearner",
    "Look",
    "Mask",
    "Metric",
    "MixUp",
    "ModelEMA",
    "ModelError",
    "MultiCategory",
    "MultiLabelInterpretation",
    "Numbers",
    "ObjectItemList",
    "OnecycleError",
    "OnecycleWarning",
    "Path",
    "PathList",
    "Patience",
    "PixelCache",
    "Plan",
    "Points",
    "PointsItemList",
    "Prediction",
    "Predictions",
    "Predictor",
    "RateCurve",
    "Recorder",
    "ReduceLROnPlateau",
    "ReportRow",
    "Row",
    "Run",
    "SaveModel",
    "SegmentationInterpretation",
    "SegmentationItemList",
    "SeriesLearner",
    "SeriesList",
    "Side",
    "SizeError",
    "SplitItems",
    "StopFit",
    "Substitutes",
    "TTA",
    "Table",
    "TableError",
    "Target",
    "TargetSpec",
    "Task",
    "TensorBoardLogger",
    "TensorList",
    "Text",
    "TextClasDataBunch",
    "TextDataBunch",
    "TextLMDataBunch",
    "TextLearner",
    "TextList",
    "Tracker",
    "TrainingError",
    "Transform",
    "URLs",
    "UsageError",
    "Vocab",
    "WeightsError",
    "WordScores",
    "WriteError",
    "__version__",
    "accuracy",
    "accuracy_thresh",
    "aug_mix",
    "auroc",
    "average_precision",
    "balanced_loss",
    "best_threshold",
    "brightness",
    "butterflies_sample",
    "calibration_error",
    "cnn_learner",
    "contrast",
    "create_cnn",
    "crop",
    "crop_pad",
    "cross_validate",
    "cutout",
    "defaults",
    "detection_learner",
    "dice",
    "dihedral",
    "dihedral_affine",
    "download",
    "download_images",
    "error_rate",
    "extract",
    "f1",
    "faces_sample",
    "fbeta",
    "flip_affine",
    "flip_lr",
    "flip_ud",
    "foreground_acc",
    "from_arrays",
    "from_hub",
    "get_image_files",
    "get_transforms",
    "guitars_sample",
    "half_stats",
    "hands_sample",
    "higher_is_better",
    "imagenet_stats",
    "jitter",
    "language_model_learner",
    "load_data",
    "load_learner",
    "lower_is_better",
    "lr_find",
    "ls",
    "mae",
    "mean_absolute_error",
    "mean_ap",
    "mean_ap50",
    "mean_iou",
    "mean_squared_error",
    "mlp",
    "models",
    "mse",
    "open_image",
    "open_mask",
    "perplexity",
    "perspective_warp",
    "pixel_accuracy",
    "planet_sample",
    "plot_multi",
    "precision",
    "r2",
    "r2_score",
    "rand_augment",
    "rand_crop",
    "rand_pad",
    "rand_resize_crop",
    "rand_zoom",
    "recall",
    "reviews_sample",
    "rgb_randomize",
    "rmse",
    "root_mean_squared_error",
    "rotate",
    "series_learner",
    "series_transforms",
    "set_seed",
    "skew",
    "soup",
    "squish",
    "streets_sample",
    "symmetric_warp",
    "text_classifier_learner",
    "tilt",
    "to_coco",
    "top_k_accuracy",
    "train_subwords",
    "trivial_augment",
    "unet_learner",
    "untar_data",
    "verify_images",
    "whole_set",
    "word_scores",
    "write_report",
    "write_site",
    "zoom",
    "zoom_crop",
]
