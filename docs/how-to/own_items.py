# %% [markdown]
# # Your own kind of item, from the file to the phone
#
# Sounds, for example: a network for images looks at their spectrograms. A kind has two halves. The one
# **without torch** says how a source becomes an array, and is all that the predictor and the server
# need. The one **with torch** adds training; here it has next to nothing to add, since a spectrogram is
# an image like any other. A third part, in JavaScript, lets the page in the browser take such items.

# %%
import io
import wave
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from onecycle import DataError, FileKind, ImageInput, ImageSpec
from onecycle.vision import *

BINS, FRAME, STEP = 33, 64, 32


def spectrogram(source):
    """A WAV file (16 bits, one channel), or its bytes, as an image: uint8 (33 pitches, moments, 3)."""
    try:
        with wave.open(io.BytesIO(source) if isinstance(source, bytes) else str(source)) as sound:
            wanted = (sound.getsampwidth(), sound.getnchannels()) == (2, 1)
            samples = np.frombuffer(sound.readframes(sound.getnframes()), "<i2") / 2**15
    except (OSError, EOFError, wave.Error) as error:
        raise DataError(f"{str(source)[:60]}: no WAV file can be read ({error})") from error
    if not wanted or len(samples) < FRAME:
        raise DataError(f"{str(source)[:60]}: a sound has one channel of 16 bits, and 64 samples")
    frames = np.lib.stride_tricks.sliding_window_view(samples, FRAME)[::STEP] * np.hanning(FRAME)
    loudness = np.log1p(100 * np.abs(np.fft.rfft(frames)).T) / 8
    grey = np.floor(255 * loudness.clip(0, 1) + 0.5).astype(np.uint8)
    return np.repeat(grey[::-1, :, None], 3, 2)  # high pitches at the top


# %% [markdown]
# ## The half without torch
#
# `kind` is the name by which a file finds the class again: it is enough that the class is defined (an
# installed package names its module in the entry points of `onecycle.kinds`, so that the command line
# finds it too). What an image has is inherited: sizes, the network's input in the exported file,
# requests and replies.


# %%
@dataclass(frozen=True)
class SoundSpec(ImageSpec):
    """A sound becomes its spectrogram, which is an image from there on."""

    kind: ClassVar[str] = "sound"
    files: ClassVar[FileKind] = FileKind("sound", frozenset({".wav"}))
    media_types: ClassVar[tuple[str, ...]] = ("audio/wav",)
    page: ClassVar[Path] = Path("sound.js")

    def array(self, source, remarks=None, at_least=None):
        return source if isinstance(source, np.ndarray) else spectrogram(source)


# %% [markdown]
# ## The half with torch, and a list of such items


# %%
@dataclass(frozen=True, eq=False)
class SoundInput(SoundSpec, ImageInput):
    """Spectrograms as the input of a network for images."""

    def check(self, sources):
        for source in sources:  # before training, so that it does not end at a broken file
            self.array(source)


class SoundList(ItemList):
    """Every .wav file below a folder."""

    files = SoundSpec.files
    suffixes = SoundSpec.files.suffixes

    @classmethod
    def _make(cls, items, path, **more):
        return cls(tuple(items), Path(path), SoundInput(), **more)


# %% [markdown]
# That was all that training needs. Some sounds to try it on: tones that rise, and tones that fall.

# %%
n = 240  # tiny: 40
t = np.arange(4000) / 8000
for i in range(n):
    rng = np.random.default_rng(i)
    way = "rising" if i % 2 else "falling"
    pitch = rng.uniform(600, 1500) * (1 + (0.8 if i % 2 else -0.4) * t)
    sound = np.sin(2 * np.pi * np.cumsum(pitch) / 8000) * 0.3 + rng.normal(0, 0.1, len(t))
    file = Path("sounds") / way / f"{i}.wav"
    file.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(file), "wb") as out:
        out.setparams((1, 2, 8000, 0, "NONE", ""))
        out.writeframes((sound.clip(-1, 1) * 32767).astype("<i2").tobytes())

data = (
    SoundList.from_folder("sounds")
    .split_by_rand_pct(0.25, seed=0)
    .label_from_folder()
    .transform(([], []), size=(32, 96), resize_method="squish")
    .databunch(bs=8)
)
print(data)
data.show_batch(rows=2, figsize=(7, 4))

# %% [markdown]
# Any network for images will do: `cnn_learner`, or one of one's own.

# %%
from torch import nn

model = nn.Sequential(
    nn.Conv2d(3, 16, 5, stride=2),
    nn.BatchNorm2d(16),
    nn.ReLU(),
    nn.Conv2d(16, 32, 3, stride=2),
    nn.BatchNorm2d(32),
    nn.ReLU(),
    nn.AdaptiveAvgPool2d((4, 4)),
    nn.Flatten(),
    nn.Linear(512, data.c),
)
learn = Learner(data, model, metrics=accuracy)
learn.fit_one_cycle(6, 1e-2)
answer = learn.predict("sounds/rising/1.wav")[0]
print(answer)

# %% [markdown]
# ## Exported and served
#
# The file holds the network; the class says how a sound becomes its input. A program that serves it
# imports the module of the class, and needs no torch.

# %%
exported = learn.export(Path("sounds.onnx").absolute())
predictor = Predictor(exported)
print(predictor.predict("sounds/falling/0.wav"))

# %% [markdown]
# ## In the browser
#
# The page imports the module that the class names as `page`. It says how a file becomes what the
# network takes, and which controls the page shows; the same numbers as in Python come out.

# %%
Path("sound.js").write_text(
    r"""
import { at, controls } from "../view.js";

const [BINS, FRAME, STEP] = [33, 64, 32];

export const subtitle = "Runs on this device. No sound leaves it.";
export const rows = () => ({});
export const fixedSize = ({ size }) => size;
export const feed = () => ({ data, height, width }) => ({ image: ["uint8", data, [1, height, width, 3]] });

export function start(spec, page) {
  controls('<label class="button primary"><input id="sound" type="file" accept="audio/wav"><span>Sound</span></label>');
  const take = async ([file]) => {
    try {
      const image = spectrogram(samplesOf(await file.arrayBuffer()));
      page.show(await page.ask(image, { size: [image.height, image.width] }));
    } catch (error) {
      page.refuse(error);
    }
  };
  at("sound").addEventListener("change", (event) => take([...event.target.files]));
  return take;
}

/** The samples of a WAV file, -1 to 1. */
function samplesOf(buffer) {
  const view = new DataView(buffer);
  for (let i = 12; i + 8 <= view.byteLength; i += 8 + view.getUint32(i + 4, true)) {
    if (view.getUint32(i) !== 0x64617461) continue; // "data"
    const count = view.getUint32(i + 4, true) / 2;
    return Float64Array.from({ length: count }, (_, k) => view.getInt16(i + 8 + 2 * k, true) / 2 ** 15);
  }
  throw new Error("This is no WAV file.");
}

/** As in Python: the loudness of 33 pitches at each moment, as a grey image. */
function spectrogram(samples) {
  const width = Math.floor((samples.length - FRAME) / STEP) + 1;
  const data = new Uint8Array(BINS * width * 3);
  for (let x = 0; x < width; x += 1) {
    for (let bin = 0; bin < BINS; bin += 1) {
      let [re, im] = [0, 0];
      for (let k = 0; k < FRAME; k += 1) {
        const value = samples[x * STEP + k] * (0.5 - 0.5 * Math.cos((2 * Math.PI * k) / (FRAME - 1)));
        re += value * Math.cos((2 * Math.PI * bin * k) / FRAME);
        im -= value * Math.sin((2 * Math.PI * bin * k) / FRAME);
      }
      const grey = Math.floor(255 * Math.min(1, Math.log1p(100 * Math.hypot(re, im)) / 8) + 0.5);
      data.fill(grey, 3 * ((BINS - 1 - bin) * width + x), 3 * ((BINS - 1 - bin) * width + x + 1));
    }
  }
  return { data, height: BINS, width };
}
"""
)
# needs the browser's runtime, which a released onecycle holds: onecycle.write_site(exported, "sounds-page")
