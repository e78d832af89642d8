"""Exported files that nobody trained, with answers known beforehand."""

import onnx

from onecycle.deploy import format as form
from onecycle.deploy.export import _joined, _sealed
from onecycle.deploy.prelude import HEADER
from onecycle.spec.targets import CategorySpec
from onecycle.spec.task import task_to_json
from onecycle.spec.text import TextSpec
from onecycle.spec.words import SPECIAL

WORDS = (*SPECIAL, "good", "bad", "film", "a")


def made_text(folder):
    """A reader of texts: the share of `good` among the words good and bad, one of each added."""
    good, bad = WORDS.index("good"), WORDS.index("bad")
    net = onnx.parser.parse_model(f"""{HEADER}
        net (int64[n, t] x) => (float[n, 2] probabilities) {{
        one = Constant <value = int64[1] {{1}}> ()
        good = Constant <value = int64 {{{good}}}> ()
        bad = Constant <value = int64 {{{bad}}}> ()
        isGood = Equal (x, good)
        isBad = Equal (x, bad)
        goods = Cast <to = 1> (isGood)
        bads = Cast <to = 1> (isBad)
        nGood = ReduceSum <keepdims = 1> (goods, one)
        nBad = ReduceSum <keepdims = 1> (bads, one)
        counts = Concat <axis = 1> (nBad, nGood)
        more = Constant <value = float {{1.0}}> ()
        added = Add (counts, more)
        total = ReduceSum <keepdims = 1> (added, one)
        probabilities = Div (added, total)
    }}""")
    whole = _joined(None, net, False, "ids")
    task = task_to_json(TextSpec(WORDS), CategorySpec(("neg", "pos")))
    file = folder / "reader.onnx"
    file.write_bytes(_sealed(whole, {"format": form.FORMAT, "library": "test", "task": task}))
    return file
