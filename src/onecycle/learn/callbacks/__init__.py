"""The callbacks that come with onecycle, by name."""

from onecycle.core.lazy import lazy_names

_HERE = "onecycle.learn.callbacks"
__getattr__, __dir__, __all__ = lazy_names(
    __name__,
    {
        "CSVLogger": f"{_HERE}.logs",
        "EarlyStopping": f"{_HERE}.tracking",
        "FiniteLoss": f"{_HERE}.guard",
        "GradientClipping": f"{_HERE}.gradients",
        "MixUp": f"{_HERE}.mixup",
        "OneCycle": f"{_HERE}.schedules",
        "ReduceLROnPlateau": f"{_HERE}.tracking",
        "SaveModel": f"{_HERE}.tracking",
        "TensorBoardLogger": f"{_HERE}.logs",
    },
)
