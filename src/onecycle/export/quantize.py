"""A network in 8-bit integers: each convolution with its own scale, by calibration."""

import logging
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from torch import Tensor


def quantize(model: Any, batches: Sequence[Tensor] | None) -> Any:
    """The ONNX model with weights and activations of 8 bits.

    Scales of activations come from the prepared `batches`, those of weights are per channel; with
    None, as LSTMs want it, activations are scaled when the model runs. Source: Jacob et al. 2018.
    """
    import onnx
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_dynamic, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    log = logging.getLogger()
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        with TemporaryDirectory() as folder:
            given, plain, small = (Path(folder) / f"{n}.onnx" for n in ("given", "plain", "small"))
            onnx.save(model, given)
            if batches is None:
                quantize_dynamic(given, small, weight_type=QuantType.QInt8)
                return onnx.load(small)
            quant_pre_process(given, plain, skip_symbolic_shape=True)
            quantize_static(
                plain,
                small,
                _reader(batches),
                quant_format=QuantFormat.QDQ,
                per_channel=True,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
            )
            return onnx.load(small)
    finally:
        log.setLevel(level)


def _reader(batches: Sequence[Tensor]) -> Any:
    from onnxruntime.quantization import CalibrationDataReader

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        """Hands out the batches one by one."""

        def __init__(self) -> None:
            self.left = iter(batches)

        def get_next(self) -> dict[str, np.ndarray] | None:
            batch = next(self.left, None)
            return None if batch is None else {"x": batch.numpy()}

    return Reader()
