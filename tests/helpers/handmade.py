"""Exported files that nobody trained, with answers known beforehand."""

import onnx

from onecycle.export.graph import _join, _seal
from onecycle.export.image import HEADER
from onecycle.runtime import file as form
from onecycle.runtime.inputs.series import SeriesSpec
from onecycle.runtime.inputs.text import TextSpec
from onecycle.runtime.inputs.words import SPECIAL
from onecycle.runtime.targets.category import CategorySpec
from onecycle.runtime.targets.numbers import NumbersSpec
from onecycle.runtime.task import task_to_json

WORDS = (*SPECIAL, "good", "bad", "film", "a")


def sealed(folder, net, name, spec, target, file):
    """The net as an exported file with this task."""
    about = {"format": form.FORMAT, "library": "test", "task": task_to_json(spec, target)}
    (folder / file).write_bytes(_seal(_join(None, net, False, name), about))
    return folder / file


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
    return sealed(folder, net, "ids", TextSpec(WORDS), CategorySpec(("neg", "pos")), "reader.onnx")


def made_order(folder, backwards):
    """A reader that says which word it reads last: the numbers of the last token and the first."""
    net = onnx.parser.parse_model(f"""{HEADER}
        net (int64[n, t] x) => (float[n, 2] probabilities) {{
        first = Constant <value = int64[1] {{0}}> ()
        last = Constant <value = int64[1] {{-1}}> ()
        begin = Gather <axis = 1> (x, first)
        end = Gather <axis = 1> (x, last)
        both = Concat <axis = 1> (end, begin)
        probabilities = Cast <to = 1> (both)
    }}""")
    spec = TextSpec(WORDS, backwards=backwards)
    return sealed(folder, net, "ids", spec, NumbersSpec(("end", "begin")), "order.onnx")


def made_curve(folder, by="series", low=(), high=()):
    """A reader of series of two channels: the last value of each, and how many steps there are."""
    net = onnx.parser.parse_model(f"""{HEADER}
        net (float[n, 2, t] x) => (float[n, 3] probabilities) {{
        last = Constant <value = int64 {{-1}}> ()
        end = Gather <axis = 2> (x, last)
        shape = Shape <start = 2> (x)
        steps = Cast <to = 1> (shape)
        row = Constant <value = int64[2] {{1, 1}}> ()
        count = Reshape (steps, row)
        probabilities = Concat <axis = 1> (end, count)
    }}""")
    spec = SeriesSpec(channels=2, length=9, by=by, low=low, high=high)
    target = NumbersSpec(("first", "second", "steps"))
    return sealed(folder, net, "series", spec, target, "curve.onnx")
