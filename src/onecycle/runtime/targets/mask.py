"""One class per pixel."""

import base64
import io
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from onecycle.core.errors import LabelError
from onecycle.runtime.kinds import Answer, Label, Size, TargetSpec, Values
from onecycle.runtime.targets.category import plain_label


@dataclass(frozen=True)
class MaskSpec(TargetSpec):
    """One class per pixel: int64 (1, h, w); pixels of `void` are in no loss."""

    classes: tuple[Label, ...] = ()
    void: int | None = None
    kind: ClassVar[str] = "mask"
    activation: ClassVar[str] = "softmax"

    def __post_init__(self) -> None:
        object.__setattr__(self, "classes", tuple(map(plain_label, self.classes)))

    @property
    def n_outputs(self) -> int:
        return len(self.classes)

    @property
    def outside(self) -> int:
        """The number of pixels that the model has not seen: void, or one that no class has."""
        if self.void is not None and self.void >= 0:
            return self.void
        return 255 if len(self.classes) < 256 else 65535

    @property
    def mask_dtype(self) -> str | None:
        """The narrowest kind of whole numbers that holds every class, and `outside`."""
        most = max(len(self.classes) - 1, self.outside)
        if most > 65535:
            raise LabelError(f"masks hold numbers up to 65,535, not {most:,}")
        return "uint8" if most < 256 else "uint16"

    def decode(self, probabilities: np.ndarray) -> Answer:
        """Of (classes, h, w) probabilities, the likeliest class of each pixel."""
        return self.answer(np.asarray(probabilities).argmax(0)[None])

    def place(self, values: Values, row: int, size: Size, whole: Size | None) -> Answer:
        """The mask (1, h, w) of the whole image; what was cut off is `outside`."""
        mask = np.full((1, *size), self.outside, self.mask_dtype)
        top, left, h, w = (int(v) for v in values["box"])
        seen = mask[0, max(top, 0) : max(top + h, 0), max(left, 0) : max(left + w, 0)]
        y, x = max(-top, 0), max(-left, 0)  # the box may begin outside the image
        seen[:] = values["mask"][row][y : y + seen.shape[0], x : x + seen.shape[1]]
        return self.answer(mask)

    def cells(self, data: Any, probabilities: Any) -> list[float]:
        """The mean probability of each class over all pixels."""
        return np.asarray(probabilities).mean((1, 2)).tolist()

    def reply(self, answer: Answer, probabilities: np.ndarray) -> dict[str, Any]:
        """With the mask as a PNG of its numbers (uint8 or uint16), in base64."""
        from PIL import Image

        buffer = io.BytesIO()
        Image.fromarray(answer.data[0]).save(buffer, "PNG")
        coded = base64.b64encode(buffer.getvalue()).decode()
        return {"kind": self.kind, "mask": coded, "text": str(answer)}

    def decide(self, probabilities: np.ndarray) -> np.ndarray | None:
        return np.argmax(probabilities, axis=1)

    def right(self, decided: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Void pixels are not counted."""
        true = y[:, 0]
        return (decided == true)[(true != self.void) & (true >= 0)]

    def changes(self, decided: np.ndarray, other: np.ndarray) -> np.ndarray:
        """The share of each mask's pixels."""
        return (decided != other).reshape(len(decided), -1).mean(1)

    def answer(self, y: np.ndarray) -> Answer:
        mask = np.asarray(y)
        return Answer(mask[0], mask, f"mask {mask.shape[-2]} x {mask.shape[-1]}")
