# %% [markdown]
# # Ship it
#
# `learn.export()` writes one `.onnx` file that holds everything: preprocessing, network, classes and
# threshold. A phone's browser, a server and Python read that same file, and answer the same.

# %%
from onecycle import Predictor
from onecycle.vision import *

n = 400  # tiny: 60
path = planet_sample("ship", n=n, n_test=10, size=64)
data = (
    ImageList.from_csv(path, "train_v2.csv", folder="train-jpg", suffix=".jpg")
    .split_by_rand_pct(0.2, seed=42)
    .label_from_df(label_delim=" ")
    .transform(get_transforms(flip_vert=True, max_lighting=0.1), size=64)
    .databunch(bs=16)
    .normalize(half_stats)
    .with_threshold(0.2)
)
learn = cnn_learner(data, models.small, metrics=fbeta)
learn.fit_one_cycle(3, 1e-2)

# %% [markdown]
# The file is checked before it is kept: its answers must be the learner's.

# %%
file = learn.export("tiles.onnx")
half = learn.export("half.onnx", precision="fp16")
print(f"{file.stat().st_size / 1e6:.1f} MB, in 16 bits {half.stat().st_size / 1e6:.1f} MB")

# %% [markdown]
# ## In Python, without torch
#
# `Predictor` needs ONNX Runtime, numpy and Pillow; the file holds no code that it could run.

# %%
image = path / "test-jpg/test_0.jpg"
answer = Predictor(file).predict(image)
print(answer)
print(answer.top(3))
answer, _, probabilities = learn.predict(image)
print(answer, float(probabilities.max()))

# %% [markdown]
# ## As a page, on a server, on a host
#
# ```
# onecycle site tiles.onnx site/           # a folder for any static host; the model runs in the browser
# onecycle serve tiles.onnx                # the same page, and POST /api/predict
# onecycle deploy --to docker tiles.onnx app/
# ```
#
# The page asks for the camera or an image, works without a network after the first visit, and sends
# nothing anywhere. [How to deploy](../how-to/deploy.md) says which host suits what.
