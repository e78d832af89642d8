"""Where each public name lives; modules are loaded when a name of theirs is first used."""

_CORE = {
    "Path": "onecycle.core.paths",
    "defaults": "onecycle.core.defaults",
    "ls": "onecycle.core.paths",
    "plot_multi": "onecycle.core.draw",
}
_WEB = {
    "Config": "onecycle.data.urls",
    "URLs": "onecycle.data.urls",
    "download": "onecycle.data.download",
    "download_images": "onecycle.data.web_images",
    "extract": "onecycle.data.archives",
    "untar_data": "onecycle.data.urls",
}
_DATA = _WEB | {
    "Category": "onecycle.data.targets",
    "DataBunch": "onecycle.data.databunch",
    "DatasetType": "onecycle.data.databunch",
    "ItemList": "onecycle.data.items",
    "MultiCategory": "onecycle.data.targets",
    "Numbers": "onecycle.data.targets",
    "planet_sample": "onecycle.data.samples.planet",
    "butterflies_sample": "onecycle.data.samples.butterflies",
    "faces_sample": "onecycle.data.samples.faces",
    "guitars_sample": "onecycle.data.samples.guitars",
    "hands_sample": "onecycle.data.samples.hands",
    "reviews_sample": "onecycle.data.samples.reviews",
    "streets_sample": "onecycle.data.samples.streets",
}
_LEARN = {
    "Callback": "onecycle.learn.callback",
    "LabelSmoothingCrossEntropy": "onecycle.learn.losses",
    "Learner": "onecycle.learn.learner",
    "StopFit": "onecycle.learn.callback",
    "lr_find": "onecycle.learn.learner",
} | dict.fromkeys(
    (
        "accuracy",
        "accuracy_thresh",
        "auroc",
        "average_precision",
        "error_rate",
        "f1",
        "fbeta",
        "higher_is_better",
        "lower_is_better",
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
        "whole_set",
    ),
    "onecycle.learn.metrics",
)
_PIXELS = dict.fromkeys(
    ("CombinedLoss", "CrossEntropyFlat", "DiceLoss", "FocalLoss"), "onecycle.learn.pixel_losses"
) | dict.fromkeys(
    ("dice", "foreground_acc", "mean_iou", "pixel_accuracy"), "onecycle.learn.pixel_metrics"
)
_CALLBACKS = {
    "CSVLogger": "onecycle.learn.callbacks.logs",
    "EarlyStopping": "onecycle.learn.callbacks.tracking",
    "GradientClipping": "onecycle.learn.callbacks.gradients",
    "MixUp": "onecycle.learn.callbacks.mixup",
    "ReduceLROnPlateau": "onecycle.learn.callbacks.tracking",
    "SaveModel": "onecycle.learn.callbacks.tracking",
    "TensorBoardLogger": "onecycle.learn.callbacks.logs",
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
_VISION = {
    "FlowField": "onecycle.vision.image",
    "Image": "onecycle.vision.image",
    "ImageDataBunch": "onecycle.vision.lists",
    "ImageList": "onecycle.vision.lists",
    "ImagePoints": "onecycle.vision.image",
    "ImageSegment": "onecycle.vision.image",
    "ObjectItemList": "onecycle.vision.lists",
    "PointsItemList": "onecycle.vision.lists",
    "SegmentationItemList": "onecycle.vision.lists",
    "TTA": "onecycle.vision.tta",
    "cnn_learner": "onecycle.vision.learner",
    "create_cnn": "onecycle.vision.learner",
    "get_image_files": "onecycle.vision.lists",
    "Boxes": "onecycle.vision.boxes",
    "Mask": "onecycle.vision.targets",
    "Points": "onecycle.vision.targets",
    "half_stats": "onecycle.vision.stats",
    "imagenet_stats": "onecycle.vision.stats",
    "models": "onecycle.models",
    "open_image": "onecycle.vision.image",
    "open_mask": "onecycle.vision.image",
    "unet_learner": "onecycle.vision.unet",
    "verify_images": "onecycle.vision.checks",
}
_SERIES = {
    "SeriesList": "onecycle.series.lists",
    "TensorList": "onecycle.data.arrays",
    "from_arrays": "onecycle.data.arrays",
    "mlp": "onecycle.models.mlp",
    "series_learner": "onecycle.series.learner",
    "series_transforms": "onecycle.series.augment",
}
_INTERPRET = {
    "ClassificationInterpretation": "onecycle.interpret.classification",
    "MultiLabelInterpretation": "onecycle.interpret.multilabel",
    "SegmentationInterpretation": "onecycle.interpret.segmentation",
    "best_threshold": "onecycle.interpret.multilabel",
}

_DEPLOY = {
    "Predictor": "onecycle.deploy.predictor",
    "load_learner": "onecycle.deploy.loaded",
    "write_site": "onecycle.deploy.site",
}

_TEXT = {
    "AWD_LSTM": "onecycle.models.awd_lstm",
    "Ensemble": "onecycle.text.ensemble",
    "Text": "onecycle.text.input",
    "TextClasDataBunch": "onecycle.text.databunch",
    "TextDataBunch": "onecycle.text.databunch",
    "TextLMDataBunch": "onecycle.text.databunch",
    "TextList": "onecycle.text.lists",
    "Vocab": "onecycle.spec.text",
    "language_model_learner": "onecycle.text.learner",
    "load_data": "onecycle.text.saved",
    "perplexity": "onecycle.learn.metrics",
    "text_classifier_learner": "onecycle.text.learner",
    "train_subwords": "onecycle.spec.subwords",
    "word_scores": "onecycle.interpret.words",
}

TEXT = _CORE | _DATA | _LEARN | _CALLBACKS | _DEPLOY | _INTERPRET | _TEXT
_FIELDS = dict.fromkeys(("gasf", "gadf", "mtf", "recurrence"), "onecycle.series.encode")
_CHANGES = dict.fromkeys(("jitter", "scaling", "window_warp"), "onecycle.series.augment")
SERIES = (
    _CORE | _DATA | _LEARN | _CALLBACKS | _DEPLOY | _INTERPRET | _SERIES | _FIELDS | _CHANGES
) | {"models": "onecycle.models"}  # `jitter` is another function for pictures
VISION = _CORE | _DATA | _LEARN | _PIXELS | _CALLBACKS | _AUGMENT | _VISION | _DEPLOY | _INTERPRET
EVERYTHING = VISION | _TEXT | _SERIES | {"__version__": "onecycle.version"}
