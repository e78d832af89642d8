# %% [markdown]
# # Texts on a published encoder
#
# A classifier of texts can stand on any encoder of the Hugging Face hub (BERT, DistilBERT, RoBERTa,
# DeBERTa and their kin), reading with that model's own tokenizer:
#
# ```python
# data = TextClasDataBunch.from_csv("reviews", "reviews.csv")  # pip install 'onecycle[text]'
# learn = text_classifier_learner(data, "distilbert-base-uncased")
# learn.fit_one_cycle(1, 1e-3)  # the head
# learn.unfreeze().fit_one_cycle(3, slice(1e-5, 1e-4))  # everything, the embeddings slowest
# learn.export("reviews.onnx")
# ```
#
# or `onecycle train text reviews.csv --arch distilbert-base-uncased`. The weights are fetched once by
# Hugging Face's own package; nothing of a model's repository is run. Instead of a name you may give the
# folder of a model, as this page does: it makes a tiny one.

# %%
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import transformers
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

from onecycle import Predictor, TextClasDataBunch, text_classifier_learner

home = Path(tempfile.mkdtemp())
rng = np.random.default_rng(0)
words = ["the", "film", "plot", "cast", "was", "very", "quite", "a", "scene"]
rows = [
    (label, " ".join(rng.permutation([*rng.choice(words, 6), rng.choice(told)])))
    for label, told in [("good", ["great", "lovely"]), ("bad", ["awful", "dull"])] * 120
]
frame = pd.DataFrame(rows, columns=["label", "text"])

tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
tokenizer.normalizer = normalizers.BertNormalizer()
tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
trainer = trainers.WordPieceTrainer(special_tokens=["[PAD]", "[UNK]", "[CLS]", "[SEP]"])
tokenizer.train_from_iterator(frame.text, trainer)
tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
transformers.PreTrainedTokenizerFast(
    tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]"
).save_pretrained(home / "encoder")
config = transformers.BertConfig(
    vocab_size=tokenizer.get_vocab_size(),
    hidden_size=32,
    num_hidden_layers=2,
    num_attention_heads=4,
    intermediate_size=64,
    max_position_embeddings=64,
)
transformers.BertModel(config).save_pretrained(home / "encoder")

# %% [markdown]
# The learner begins frozen to its head. There are four groups for discriminative rates: embeddings,
# the lower and the upper half of the layers, the head. Texts that are longer than the model reads are
# counted in a warning.

# %%
data = TextClasDataBunch.from_df(home, frame, text_cols="text", label_cols="label", seed=0, bs=16)
learn = text_classifier_learner(data, home / "encoder", path=home, silent=True)
print([sum(p.numel() for p in group) for group in learn.layer_groups])
learn.fit_one_cycle(1, 1e-3)
learn.unfreeze().fit_one_cycle(4, slice(1e-3, 4e-3))
learn.validate()

# %% [markdown]
# ## The file
#
# The exported file holds the tokenizer, the network and the classes. Texts of all lengths may be asked
# together: what is padding is decided inside the graph. It needs onnxruntime and the package
# `tokenizers` (a few MB), neither torch nor transformers; `onecycle predict`, `onecycle serve` and the
# folders of `onecycle deploy` take it as any other.

# %%
file = learn.export("reviews.onnx")
for answer in Predictor(file).predict_batch(["a lovely film", "dull " * 40, ""]):
    print(answer, answer.probabilities.round(3))

# %% [markdown]
# `precision="int8"` is a quarter of the size (DistilBERT's 266 MB become 67) and takes 40 to 70 % of the
# time on a processor; `"fp16"` is half the size and as fast (`benchmarks/results/encoders.md`). A file
# in which int8 costs more than a point of the validation figure is not written.
#
# ## The page
#
# `onecycle site reviews.onnx site/` runs the same in the browser, also without a network. Texts are
# split by Hugging Face's tokenizers for JavaScript, and those parts of it that split otherwise than the
# Python package are put right. Byte-level BPE (RoBERTa) and SentencePiece's own rules (XLM-RoBERTa,
# ALBERT, T5) give the same for every character of Unicode. BERT's WordPiece does for all but a few
# hundred that Unicode has gained since 2014, in scripts that hardly anybody writes. A tokenizer with a
# part that is not exactly there is refused by name, and answers through `onecycle serve`: digits that
# are split one by one, or patterns of one's own.
#
# A visitor fetches the model: choose a small encoder, in int8 (a MiniLM of six layers has 23 MB).
