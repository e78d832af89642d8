# %% [markdown]
# # Text: a language model, then a classifier
#
# Is a film review good or bad? First a model learns the language of the reviews (what word comes
# next?), which needs no labels; then its encoder learns to tell them apart. These reviews are put
# together by code, in few words, and they negate, so that counting words tells little: a good film
# "was not dull". `reviews_sample` writes harder ones, and `onecycle demo imdb` learns them.

# %%
import numpy as np
import pandas as pd

from onecycle import *

n = 1200  # tiny: 100
THINGS = ["film", "plot", "cast", "music", "ending"]
WORDS = {True: ["great", "lovely", "clever"], False: ["awful", "dull", "stupid"]}
rng = np.random.default_rng(0)


def review(good):
    """One to four sentences; four in ten are negated."""
    sentences = []
    for negated in rng.random(rng.integers(1, 5)) < 0.4:
        verb = "was not" if negated else "was"
        sentences.append(f"The {rng.choice(THINGS)} {verb} {rng.choice(WORDS[good != negated])}.")
    return " ".join(sentences)


labels = rng.choice(["negative", "positive"], n)
frame = pd.DataFrame({"label": labels, "text": [review(label == "positive") for label in labels]})
texts = TextList.from_df(frame, cols="text").split_by_rand_pct(0.2, seed=0)
print(texts)

# %% [markdown]
# ## The language model
#
# No labels: each token is the answer to those before it. Capitals, repetitions and unknown words are
# tokens of their own, such as `xxmaj`.

# %%
data_lm = texts.label_for_lm().databunch(bs=16)
print(data_lm.vocab.itos[:16])
data_lm.show_batch(rows=2)

# %% [markdown]
# A small network, so that this page is built in seconds. `pretrained=True` loads the published one
# of the course instead, and needs no `config`.

# %%
small = {"emb_sz": 24, "n_hid": 32, "n_layers": 2}
language = language_model_learner(
    data_lm, AWD_LSTM, config=small, drop_mult=0.1, pretrained=False, metrics=[accuracy, perplexity]
)
language.fit_one_cycle(6, 2e-2, moms=(0.8, 0.7))
print(language.predict("The film was", n_words=12, temperature=0.75, seed=1))
language.save_encoder("encoder")

# %% [markdown]
# ## The classifier
#
# It takes over the vocabulary and the encoder.

# %%
data = (
    TextList.from_df(frame, cols="text", vocab=data_lm.vocab)
    .split_by_rand_pct(0.2, seed=0)
    .label_from_df("label")
    .databunch(bs=32)
)
print(f"{data.train_dl.padding:.1%} of the training batches is padding")
data.show_batch(rows=3)

# %% [markdown]
# One layer after the other is unfrozen, the early ones with smaller rates.

# %%
learn = text_classifier_learner(data, AWD_LSTM, config=small, drop_mult=0.2, pretrained=False)
learn.load_encoder("encoder")
learn.fit_one_cycle(3, 2e-2)
learn.freeze_to(-2)
learn.fit_one_cycle(2, slice(1e-3, 1e-2))
learn.unfreeze()
learn.fit_one_cycle(10, slice(3e-3, 2e-2))

# %%
print(learn.predict("The plot was not awful.")[0])
print(learn.predict("The plot was not great.")[0])

# %% [markdown]
# Which words made it say so? The answer without each of them: green for it, red against it.

# %%
word_scores(learn, "The plot was not awful, but the music was dull.")

# %% [markdown]
# The texts that it gets most wrong:

# %%
ClassificationInterpretation.from_learner(learn).plot_top_losses(3)
