# Written by scripts/write_stubs.py: change the table of names, and run it again.

from collections import Counter as Counter
from collections import OrderedDict as OrderedDict
from collections import defaultdict as defaultdict
from functools import partial as partial
from functools import reduce as reduce
from io import BytesIO as BytesIO
from onecycle.core.machine import defaults as defaults
from onecycle.core.paths import Path as Path
from onecycle.core.paths import ls as ls
from onecycle.core.plot import plot_multi as plot_multi
from onecycle.course.blocks import BatchNorm1dFlat as BatchNorm1dFlat
from onecycle.course.blocks import Lambda as Lambda
from onecycle.course.blocks import MergeLayer as MergeLayer
from onecycle.course.blocks import SequentialEx as SequentialEx
from onecycle.course.blocks import children as children
from onecycle.course.blocks import conv_layer as conv_layer
from onecycle.course.blocks import flatten_model as flatten_model
from onecycle.course.blocks import requires_grad as requires_grad
from onecycle.course.blocks import res_block as res_block
from onecycle.course.blocks import show_image as show_image
from onecycle.course.blocks import trainable_params as trainable_params
from onecycle.course.lessons import DataBunch as DataBunch
from onecycle.course.lessons import ItemLists as ItemLists
from onecycle.course.lessons import Learner as Learner
from onecycle.course.tools import DatasetFormatter as DatasetFormatter
from onecycle.course.tools import EarlyStoppingCallback as EarlyStoppingCallback
from onecycle.course.tools import MixUpCallback as MixUpCallback
from onecycle.course.tools import ReduceLROnPlateauCallback as ReduceLROnPlateauCallback
from onecycle.course.tools import SaveModelCallback as SaveModelCallback
from onecycle.course.tools import array as array
from onecycle.course.tools import doc as doc
from onecycle.course.tools import gpu_mem_get as gpu_mem_get
from onecycle.course.tools import gpu_mem_get_free as gpu_mem_get_free
from onecycle.course.tools import gpu_mem_get_free_no_cache as gpu_mem_get_free_no_cache
from onecycle.course.tools import hook_output as hook_output
from onecycle.course.tools import hook_outputs as hook_outputs
from onecycle.course.tools import model_sizes as model_sizes
from onecycle.course.tools import num_features_model as num_features_model
from onecycle.course.tools import tensor as tensor
from onecycle.data.arrays import TensorList as TensorList
from onecycle.data.arrays import from_arrays as from_arrays
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
from onecycle.learn.losses import CombinedLoss as CombinedLoss
from onecycle.learn.losses import CrossEntropyFlat as CrossEntropyFlat
from onecycle.learn.losses import DiceLoss as DiceLoss
from onecycle.learn.losses import FocalLoss as FocalLoss
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
from onecycle.learn.recorder import CSVLogger as CSVLogger
from onecycle.learn.recorder import TensorBoardLogger as TensorBoardLogger
from onecycle.learn.resume import Checkpoint as Checkpoint
from onecycle.learn.seed import set_seed as set_seed
from onecycle.learn.tracker import Tracker as Tracker
from onecycle.models.awd_lstm import AWD_LSTM as AWD_LSTM
from onecycle.models.head import AdaptiveConcatPool2d as AdaptiveConcatPool2d
from onecycle.models.head import mlp as mlp
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
from onecycle.series.encode import series_transforms as series_transforms
from onecycle.series.learner import series_learner as series_learner
from onecycle.series.lists import SeriesList as SeriesList
from onecycle.text.corpus import Text as Text
from onecycle.text.learner import language_model_learner as language_model_learner
from onecycle.text.learner import text_classifier_learner as text_classifier_learner
from onecycle.text.learners import Ensemble as Ensemble
from onecycle.text.lists import TextClasDataBunch as TextClasDataBunch
from onecycle.text.lists import TextDataBunch as TextDataBunch
from onecycle.text.lists import TextLMDataBunch as TextLMDataBunch
from onecycle.text.lists import TextList as TextList
from onecycle.text.saved import load_data as load_data
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
from onecycle.vision.input import half_stats as half_stats
from onecycle.vision.input import imagenet_stats as imagenet_stats
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
from onecycle.vision.tta import TTA as TTA
from operator import itemgetter as itemgetter
from torch import Tensor as Tensor
from torch.nn import Flatten as Flatten
from torch.utils.data import DataLoader as DataLoader
from torch.utils.data import Dataset as Dataset
from torch.utils.data import TensorDataset as TensorDataset
import collections as collections
import contextlib as contextlib
import copy as copy
import csv as csv
import gc as gc
import gzip as gzip
import hashlib as hashlib
import inspect as inspect
import io as io
import itertools as itertools
import json as json
import math as math
import matplotlib.patches as patches
import matplotlib.pyplot as plt
import numpy as np
import onecycle.models as models
import operator as operator
import os as os
import pandas as pd
import random as random
import re as re
import shutil as shutil
import string as string
import subprocess as subprocess
import sys as sys
import tarfile as tarfile
import time as time
import torch as torch
import torch.nn as nn
import torch.nn.functional as F
import torch.optim as optim
import types as types
import typing as typing
import warnings as warnings
from onecycle.course.table import Unsupported as Unsupported

AUROC: Unsupported
AdaptiveGANSwitcher: Unsupported
AdaptiveLoss: Unsupported
AverageMetric: Unsupported
Categorify: Unsupported
CategoryList: Unsupported
CollabDataBunch: Unsupported
CollabLine: Unsupported
CollabList: Unsupported
DynamicUnet: Unsupported
EmbeddingDotBias: Unsupported
EmbeddingNN: Unsupported
FBeta: Unsupported
FillMissing: Unsupported
FixedGANSwitcher: Unsupported
FloatList: Unsupported
GANDiscriminativeLR: Unsupported
GANItemList: Unsupported
GANLearner: Unsupported
GANLoss: Unsupported
GANModule: Unsupported
GANTrainer: Unsupported
ImageCleaner: Unsupported
ImageImageList: Unsupported
ImageTuple: Unsupported
LabelList: Unsupported
LanguageLearner: Unsupported
LossMetrics: Unsupported
MSELossFlat: Unsupported
MultiCategoryList: Unsupported
MultiLabelClassificationInterpretation: Unsupported
MultiLabelFbeta: Unsupported
NoisyItem: Unsupported
NormType: Unsupported
Normalize: Unsupported
TabularDataBunch: Unsupported
TabularList: Unsupported
TabularModel: Unsupported
add_cyclic_datepart: Unsupported
add_datepart: Unsupported
basic_critic: Unsupported
basic_generator: Unsupported
batch_stats: Unsupported
collab_learner: Unsupported
cont_cat_split: Unsupported
exp_rmspe: Unsupported
gan_critic: Unsupported
gan_loss_from_func: Unsupported
parallel: Unsupported
resize_to: Unsupported
tabular_learner: Unsupported

__all__ = [
    "AUROC",
    "AWD_LSTM",
    "AdaptiveConcatPool2d",
    "AdaptiveGANSwitcher",
    "AdaptiveLoss",
    "AverageMetric",
    "BatchNorm1dFlat",
    "Boxes",
    "BytesIO",
    "CSVLogger",
    "Callback",
    "Categorify",
    "Category",
    "CategoryList",
    "Checkpoint",
    "ClassificationInterpretation",
    "CollabDataBunch",
    "CollabLine",
    "CollabList",
    "CombinedLoss",
    "Config",
    "Counter",
    "CrossEntropyFlat",
    "CutMix",
    "DataBunch",
    "DataLoader",
    "Dataset",
    "DatasetFormatter",
    "DatasetType",
    "DiceLoss",
    "DynamicUnet",
    "EarlyStopping",
    "EarlyStoppingCallback",
    "EmbeddingDotBias",
    "EmbeddingNN",
    "Ensemble",
    "F",
    "FBeta",
    "FillMissing",
    "FixedGANSwitcher",
    "Flatten",
    "FloatList",
    "FlowField",
    "FocalLoss",
    "GANDiscriminativeLR",
    "GANItemList",
    "GANLearner",
    "GANLoss",
    "GANModule",
    "GANTrainer",
    "GradientClipping",
    "Image",
    "ImageCleaner",
    "ImageDataBunch",
    "ImageImageList",
    "ImageList",
    "ImagePoints",
    "ImageSegment",
    "ImageTuple",
    "Interpretation",
    "ItemList",
    "ItemLists",
    "LabelList",
    "LabelSmoothingCrossEntropy",
    "Lambda",
    "LanguageLearner",
    "Learner",
    "LossMetrics",
    "MSELossFlat",
    "Mask",
    "MergeLayer",
    "MixUp",
    "MixUpCallback",
    "ModelEMA",
    "MultiCategory",
    "MultiCategoryList",
    "MultiLabelClassificationInterpretation",
    "MultiLabelFbeta",
    "MultiLabelInterpretation",
    "NoisyItem",
    "NormType",
    "Normalize",
    "Numbers",
    "ObjectItemList",
    "OrderedDict",
    "Path",
    "PixelCache",
    "Points",
    "PointsItemList",
    "Predictor",
    "ReduceLROnPlateau",
    "ReduceLROnPlateauCallback",
    "SaveModel",
    "SaveModelCallback",
    "SegmentationInterpretation",
    "SegmentationItemList",
    "SequentialEx",
    "SeriesList",
    "StopFit",
    "TTA",
    "TabularDataBunch",
    "TabularList",
    "TabularModel",
    "Tensor",
    "TensorBoardLogger",
    "TensorDataset",
    "TensorList",
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
    "add_cyclic_datepart",
    "add_datepart",
    "array",
    "aug_mix",
    "auroc",
    "average_precision",
    "balanced_loss",
    "basic_critic",
    "basic_generator",
    "batch_stats",
    "best_threshold",
    "brightness",
    "butterflies_sample",
    "calibration_error",
    "children",
    "cnn_learner",
    "collab_learner",
    "collections",
    "cont_cat_split",
    "contextlib",
    "contrast",
    "conv_layer",
    "copy",
    "create_cnn",
    "crop",
    "crop_pad",
    "cross_validate",
    "csv",
    "cutout",
    "defaultdict",
    "defaults",
    "detection_learner",
    "dice",
    "dihedral",
    "dihedral_affine",
    "doc",
    "download",
    "download_images",
    "error_rate",
    "exp_rmspe",
    "extract",
    "f1",
    "faces_sample",
    "fbeta",
    "flatten_model",
    "flip_affine",
    "flip_lr",
    "flip_ud",
    "foreground_acc",
    "from_arrays",
    "from_hub",
    "gan_critic",
    "gan_loss_from_func",
    "gc",
    "get_image_files",
    "get_transforms",
    "gpu_mem_get",
    "gpu_mem_get_free",
    "gpu_mem_get_free_no_cache",
    "guitars_sample",
    "gzip",
    "half_stats",
    "hands_sample",
    "hashlib",
    "higher_is_better",
    "hook_output",
    "hook_outputs",
    "imagenet_stats",
    "inspect",
    "io",
    "itemgetter",
    "itertools",
    "jitter",
    "json",
    "language_model_learner",
    "load_data",
    "load_learner",
    "lower_is_better",
    "lr_find",
    "ls",
    "mae",
    "math",
    "mean_absolute_error",
    "mean_ap",
    "mean_ap50",
    "mean_iou",
    "mean_squared_error",
    "mlp",
    "model_sizes",
    "models",
    "mse",
    "nn",
    "np",
    "num_features_model",
    "open_image",
    "open_mask",
    "operator",
    "optim",
    "os",
    "parallel",
    "partial",
    "patches",
    "pd",
    "perplexity",
    "perspective_warp",
    "pixel_accuracy",
    "planet_sample",
    "plot_multi",
    "plt",
    "precision",
    "r2",
    "r2_score",
    "rand_augment",
    "rand_crop",
    "rand_pad",
    "rand_resize_crop",
    "rand_zoom",
    "random",
    "re",
    "recall",
    "reduce",
    "requires_grad",
    "res_block",
    "resize_to",
    "reviews_sample",
    "rgb_randomize",
    "rmse",
    "root_mean_squared_error",
    "rotate",
    "series_learner",
    "series_transforms",
    "set_seed",
    "show_image",
    "shutil",
    "skew",
    "soup",
    "squish",
    "streets_sample",
    "string",
    "subprocess",
    "symmetric_warp",
    "sys",
    "tabular_learner",
    "tarfile",
    "tensor",
    "text_classifier_learner",
    "tilt",
    "time",
    "to_coco",
    "top_k_accuracy",
    "torch",
    "train_subwords",
    "trainable_params",
    "trivial_augment",
    "types",
    "typing",
    "unet_learner",
    "untar_data",
    "verify_images",
    "warnings",
    "whole_set",
    "word_scores",
    "write_report",
    "write_site",
    "zoom",
    "zoom_crop",
]
