"""Where each public name lives; modules are loaded when a name of theirs is first used."""

_CORE = {
    "Path": "onecycle.core.paths",
    "defaults": "onecycle.core.machine",
    "ls": "onecycle.core.paths",
    "plot_multi": "onecycle.core.plot",
}
_WEB = {
    "Config": "onecycle.fetch.urls",
    "URLs": "onecycle.fetch.urls",
    "download": "onecycle.fetch.download",
    "download_images": "onecycle.fetch.images",
    "extract": "onecycle.fetch.archives",
    "untar_data": "onecycle.fetch.urls",
}
_DATA = _WEB | {
    "Category": "onecycle.data.targets",
    "DataBunch": "onecycle.data.databunch",
    "DatasetType": "onecycle.data.databunch",
    "ItemList": "onecycle.data.lists",
    "MultiCategory": "onecycle.data.targets",
    "Numbers": "onecycle.data.targets",
    "planet_sample": "onecycle.samples.planet",
    "butterflies_sample": "onecycle.samples.butterflies",
    "faces_sample": "onecycle.samples.faces",
    "guitars_sample": "onecycle.samples.guitars",
    "hands_sample": "onecycle.samples.hands",
    "reviews_sample": "onecycle.samples.reviews",
    "streets_sample": "onecycle.samples.streets",
}
_LEARN = {
    "Callback": "onecycle.learn.callback",
    "LabelSmoothingCrossEntropy": "onecycle.learn.losses",
    "Learner": "onecycle.learn.learner",
    "StopFit": "onecycle.learn.callback",
    "soup": "onecycle.learn.averaging",
    "cross_validate": "onecycle.learn.cross_validation",
    "higher_is_better": "onecycle.learn.metric",
    "lower_is_better": "onecycle.learn.metric",
    "balanced_loss": "onecycle.learn.losses",
    "calibration_error": "onecycle.learn.calibration",
    "lr_find": "onecycle.learn.lr_find",
    "set_seed": "onecycle.learn.seed",
    "whole_set": "onecycle.learn.metric",
} | dict.fromkeys(
    (
        "accuracy",
        "accuracy_thresh",
        "auroc",
        "average_precision",
        "error_rate",
        "f1",
        "fbeta",
        "mae",
        "mean_absolute_error",
        "mean_squared_error",
        "mse",
        "precision",
        "r2",
        "r2_score",
        "recall",
        "rmse",
        "root_mean_squared_error",
        "top_k_accuracy",
    ),
    "onecycle.learn.metrics",
)
_PIXELS = dict.fromkeys(
    ("CombinedLoss", "CrossEntropyFlat", "DiceLoss", "FocalLoss"), "onecycle.learn.losses"
) | dict.fromkeys(
    ("dice", "foreground_acc", "mean_iou", "pixel_accuracy"), "onecycle.learn.metrics"
)
_CALLBACKS = {
    "CSVLogger": "onecycle.learn.recorder",
    "CutMix": "onecycle.learn.callbacks",
    "Checkpoint": "onecycle.learn.resume",
    "EarlyStopping": "onecycle.learn.callbacks",
    "GradientClipping": "onecycle.learn.callbacks",
    "MixUp": "onecycle.learn.callbacks",
    "ModelEMA": "onecycle.learn.averaging",
    "ReduceLROnPlateau": "onecycle.learn.callbacks",
    "SaveModel": "onecycle.learn.callbacks",
    "TensorBoardLogger": "onecycle.learn.recorder",
    "Tracker": "onecycle.learn.tracker",
}
_AUGMENT = dict.fromkeys(
    (
        "brightness",
        "contrast",
        "crop",
        "crop_pad",
        "cutout",
        "dihedral",
        "dihedral_affine",
        "flip_affine",
        "flip_lr",
        "flip_ud",
        "get_transforms",
        "jitter",
        "perspective_warp",
        "rand_crop",
        "rand_pad",
        "rand_resize_crop",
        "rand_zoom",
        "rgb_randomize",
        "rotate",
        "skew",
        "squish",
        "symmetric_warp",
        "tilt",
        "zoom",
        "zoom_crop",
    ),
    "onecycle.vision.augment",
)
_POLICIES = dict.fromkeys(
    ("aug_mix", "rand_augment", "trivial_augment"), "onecycle.vision.policies"
)
_VISION = _POLICIES | {
    "FlowField": "onecycle.vision.image",
    "Image": "onecycle.vision.image",
    "ImageDataBunch": "onecycle.vision.lists",
    "ImageList": "onecycle.vision.lists",
    "ImagePoints": "onecycle.vision.image",
    "ImageSegment": "onecycle.vision.image",
    "ObjectItemList": "onecycle.vision.lists",
    "PixelCache": "onecycle.vision.pixel_cache",
    "PointsItemList": "onecycle.vision.lists",
    "SegmentationItemList": "onecycle.vision.lists",
    "TTA": "onecycle.vision.tta",
    "cnn_learner": "onecycle.vision.learner",
    "create_cnn": "onecycle.vision.learner",
    "detection_learner": "onecycle.vision.learner",
    "get_image_files": "onecycle.vision.lists",
    "Boxes": "onecycle.vision.boxes",
    "Mask": "onecycle.vision.targets",
    "Points": "onecycle.vision.targets",
    "mean_ap": "onecycle.vision.mean_ap",
    "mean_ap50": "onecycle.vision.mean_ap",
    "half_stats": "onecycle.vision.input",
    "imagenet_stats": "onecycle.vision.input",
    "models": "onecycle.models",
    "open_image": "onecycle.vision.image",
    "open_mask": "onecycle.vision.image",
    "to_coco": "onecycle.vision.annotations.write",
    "unet_learner": "onecycle.vision.learner",
    "verify_images": "onecycle.vision.checks",
}
_SERIES = {
    "SeriesList": "onecycle.series.lists",
    "TensorList": "onecycle.data.arrays",
    "from_arrays": "onecycle.data.arrays",
    "mlp": "onecycle.models.head",
    "series_learner": "onecycle.series.learner",
    "series_transforms": "onecycle.series.encode",
}
_INTERPRET = {
    "ClassificationInterpretation": "onecycle.interpret.classification",
    "MultiLabelInterpretation": "onecycle.interpret.classification",
    "SegmentationInterpretation": "onecycle.interpret.classification",
    "best_threshold": "onecycle.interpret.classification",
    "write_report": "onecycle.interpret.report",
}

_DEPLOY = {
    "Predictor": "onecycle.runtime.predictor",
    "from_hub": "onecycle.runtime.hub",
    "load_learner": "onecycle.runtime.predictor",
    "write_site": "onecycle.runtime.site",
}

_TEXT = {
    "AWD_LSTM": "onecycle.models.awd_lstm",
    "Ensemble": "onecycle.text.learners",
    "Text": "onecycle.text.corpus",
    "TextClasDataBunch": "onecycle.text.lists",
    "TextDataBunch": "onecycle.text.lists",
    "TextLMDataBunch": "onecycle.text.lists",
    "TextList": "onecycle.text.lists",
    "Vocab": "onecycle.runtime.inputs.text",
    "language_model_learner": "onecycle.text.learner",
    "load_data": "onecycle.text.saved",
    "perplexity": "onecycle.learn.metrics",
    "text_classifier_learner": "onecycle.text.learner",
    "train_subwords": "onecycle.runtime.inputs.subwords",
    "word_scores": "onecycle.interpret.words",
}

TEXT = _CORE | _DATA | _LEARN | _CALLBACKS | _DEPLOY | _INTERPRET | _TEXT
_FIELDS = dict.fromkeys(("gasf", "gadf", "mtf", "recurrence"), "onecycle.series.encode")
_CHANGES = dict.fromkeys(("jitter", "scaling", "window_warp"), "onecycle.series.encode")
SERIES = (
    _CORE | _DATA | _LEARN | _CALLBACKS | _DEPLOY | _INTERPRET | _SERIES | _FIELDS | _CHANGES
) | {"models": "onecycle.models"}  # `jitter` is another function for images
VISION = _CORE | _DATA | _LEARN | _PIXELS | _CALLBACKS | _AUGMENT | _VISION | _DEPLOY | _INTERPRET
PROGRAMS = VISION | _TEXT | _SERIES  # what a star import may bring

ERRORS = dict.fromkeys(
    (
        "ArchiveError",
        "CheckpointError",
        "DamagedImageError",
        "DataError",
        "DivergedError",
        "DownloadError",
        "EmptyDataError",
        "ExportError",
        "HubError",
        "ImageError",
        "LabelError",
        "ModelError",
        "OnecycleError",
        "OnecycleWarning",
        "SizeError",
        "TableError",
        "TrainingError",
        "UsageError",
        "WeightsError",
        "WriteError",
    ),
    "onecycle.core.errors",
)
TYPES = {  # what public functions take and return, for annotations
    "Answer": "onecycle.runtime.kinds",
    "Architecture": "onecycle.models.architectures",
    "Batches": "onecycle.data.task",
    "CrossValidation": "onecycle.learn.cross_validation",
    "Calibration": "onecycle.learn.calibration",
    "DataReport": "onecycle.data.report",
    "Encoder": "onecycle.text.pretrained",
    "Engine": "onecycle.learn.engine",
    "Evaluation": "onecycle.learn.held_out",
    "Figure": "onecycle.learn.held_out",
    "FitOptions": "onecycle.learn.options",
    "GroupedOptimizer": "onecycle.learn.optimizer",
    "ImageLearner": "onecycle.vision.learner",
    "Items": "onecycle.data.items",
    "LabelList": "onecycle.data.label_list",
    "LabelledItems": "onecycle.data.databunch",
    "Labels": "onecycle.data.label_list",
    "LanguageLearner": "onecycle.text.learners",
    "LearnerOptions": "onecycle.learn.options",
    "Limits": "onecycle.fetch.archives",
    "LoadedData": "onecycle.runtime.predictor",
    "LoadedLearner": "onecycle.runtime.predictor",
    "Look": "onecycle.data.looks",
    "Metric": "onecycle.learn.metric",
    "PathList": "onecycle.core.path_list",
    "Patience": "onecycle.fetch.download",
    "Plan": "onecycle.vision.warp",
    "Prediction": "onecycle.runtime.predictor",
    "Predictions": "onecycle.learn.predictions",
    "RateCurve": "onecycle.learn.lr_find",
    "Recorder": "onecycle.learn.recorder",
    "ReportRow": "onecycle.data.report",
    "Run": "onecycle.learn.callback",
    "SeriesLearner": "onecycle.series.learner",
    "Side": "onecycle.data.checks",
    "SplitItems": "onecycle.data.labels",
    "Substitutes": "onecycle.data.unreadable",
    "Table": "onecycle.core.display",
    "Task": "onecycle.data.task",
    "TextLearner": "onecycle.text.learners",
    "Transform": "onecycle.vision.transform",
    "WordScores": "onecycle.interpret.words",
}
KINDS = {  # what kinds of one's own are made of
    "ArrayInput": "onecycle.data.arrays",
    "FileKind": "onecycle.core.walk",
    "ImageInput": "onecycle.vision.input",
    "ImageSpec": "onecycle.runtime.inputs.image",
    "Input": "onecycle.data.task",
    "InputSpec": "onecycle.runtime.kinds",
    "Row": "onecycle.data.arrays",
    "Target": "onecycle.data.targets",
    "TargetSpec": "onecycle.runtime.kinds",
}
EVERYTHING = PROGRAMS | ERRORS | TYPES | KINDS | {"__version__": "onecycle.version"}
