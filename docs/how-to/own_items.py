# %% [markdown]
# # Your own kind of item, in 40 lines
#
# Sounds, for example. Two things are needed: an *input*, which says how a source (here a WAV file)
# becomes a tensor, and an *item list*, which says which files are meant. Everything else (splits,
# labels, batches, training, interpretation) asks these two.

# %%
import wave
from dataclasses import dataclass

import numpy as np

from onecycle import ItemList, Path
from onecycle.data.arrays import ArrayInput, Row


def spectrogram(file):
    """A WAV file as loudness (1, 33 pitches, moments), float32."""
    with wave.open(str(file)) as sound:
        samples = np.frombuffer(sound.readframes(sound.getnframes()), np.int16) / 2**15
    pieces = np.lib.stride_tricks.sliding_window_view(samples, 64)[::32] * np.hanning(64)
    return np.log1p(100 * np.abs(np.fft.rfft(pieces)).T)[None].astype(np.float32)


@dataclass(frozen=True, eq=False)
class SoundInput(ArrayInput):
    """A WAV file becomes its spectrogram; with `rng` given it is training, so a bit of noise."""

    def read(self, source):
        x = source if isinstance(source, np.ndarray) else spectrogram(source)
        return Row(np.asarray(x), np.zeros((), np.float32))

    def as_item(self, x):
        return x if isinstance(x, Row) else Row(np.asarray(x)[0], np.zeros((), np.float32))

    def fit(self, sources):
        return super().fit([spectrogram(sources[0])])

    def check(self, sources):
        super().check([spectrogram(source) for source in sources])

    def load(self, source, y, target, rng):
        x = spectrogram(source)
        return Row(x if rng is None else x + rng.normal(0, 0.05, x.shape).astype("f4"), y)


class SoundList(ItemList):
    """Every .wav file below a folder."""

    suffixes = frozenset({".wav"})

    @classmethod
    def _make(cls, items, path, **more):
        return cls(tuple(items), Path(path), SoundInput(), **more)


# %% [markdown]
# That was all. Some sounds to try it on: tones that rise, and tones that fall.

# %%
n = 120  # tiny: 24
rate, t = 8000, np.arange(4000) / 8000
for i in range(n):
    luck = np.random.default_rng(i)
    way = "rising" if i % 2 else "falling"
    pitch = luck.uniform(600, 1500) * (1 + (0.8 if i % 2 else -0.4) * t)
    sound = np.sin(2 * np.pi * np.cumsum(pitch) / rate) * 0.3 + luck.normal(0, 0.1, len(t))
    file = Path("sounds") / way / f"{i}.wav"
    file.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(file), "wb") as out:
        out.setparams((1, 2, rate, 0, "NONE", ""))
        out.writeframes((sound.clip(-1, 1) * 32767).astype(np.int16).tobytes())

data = (
    SoundList.from_folder("sounds")
    .split_by_rand_pct(0.25, seed=0)
    .label_from_folder()
    .databunch(bs=8)
)
print(data)
data.show_batch(rows=2, figsize=(7, 4))

# %% [markdown]
# Any model that takes (n, 1, pitches, moments) and puts out `data.c` numbers will do.

# %%
from torch import nn

from onecycle import Learner, accuracy

model = nn.Sequential(
    nn.Conv2d(1, 16, 5, stride=2),
    nn.ReLU(),
    nn.Conv2d(16, 32, 3, stride=2),
    nn.ReLU(),
    nn.AdaptiveAvgPool2d((4, 4)),
    nn.Flatten(),
    nn.Linear(512, data.c),
)
learn = Learner(data, model, metrics=accuracy)
learn.fit_one_cycle(6, 3e-3)
print(learn.predict("sounds/rising/1.wav")[0])
