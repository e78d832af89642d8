"""Files as strangers send them: whole ones of every kind, changed at random and on purpose.

    python tests/helpers/mutations.py png --count 10000     # one kind, and what became of each

`fuzz` gives one outcome a file: "read", "refused" (an OnecycleError), or what was wrong. The same
kind and number is the same file on every machine.
"""

import argparse
import faulthandler
import io
import json
import re
import signal
import sys
import tarfile
import tempfile
import warnings
import zipfile
import zlib
from collections import Counter
from contextlib import redirect_stdout, suppress
from copy import deepcopy
from pathlib import Path
from typing import ClassVar
from xml.etree import ElementTree

import annotated
import numpy as np
from memory import forget_peak, peak_bytes
from PIL import Image as Pillow

from onecycle.core.errors import OnecycleError
from onecycle.runtime.inputs.band_files import MOST

GOLDEN = Path(__file__).parents[1] / "runtime/golden"
SECONDS = 20  # that one small file may take at most
GROWTH = 1 << 30  # bytes by which reading one may let the process grow

# --- changes of bytes, of JSON, of protobuf

_ODD_BYTES = (b"\xff" * 4, b"\x7f" + b"\xff" * 3, bytes(4), b"\xff" * 8, b"\0\0\0\x80", b"\1")
_ODD_VALUES = (
    *(None, True, -1, 0, 1, 2**31, 2**64, -(2**70), 10**400, 0.5, -1e308, float("nan")),
    *(float("inf"), "", "x", "x" * 70_000, "\0", "\ud800", "../../x", "<img src=x>", [], {}, [[]]),
    *([1] * 70_000, {"a": {"b": []}}, ["a", None], "image", "text", "mask", "points"),
)


def mutate_bytes(rng, data, other):
    """One to four changes: bits, bytes, numbers far too large, cuts, repeats, parts of `other`."""
    data = bytearray(data)
    for _ in range(rng.integers(1, 5)):
        at, length = int(rng.integers(0, len(data) + 1)), int(rng.integers(1, 64))
        if rng.integers(0, 2):
            at = min(at, int(rng.integers(0, 200)))  # headers come first
        way = rng.integers(0, 8)
        if way == 0 and at < len(data):
            data[at] ^= 1 << int(rng.integers(0, 8))
        elif way == 1:
            data[at : at + length] = rng.bytes(length)
        elif way == 2:
            del data[at : at + length]
        elif way == 3:
            data[at:at] = data[at : at + length]
        elif way == 4:
            odd = _ODD_BYTES[rng.integers(0, len(_ODD_BYTES))]
            data[at : at + len(odd)] = odd
        elif way == 5 and not rng.integers(0, 3):
            del data[at:]
        elif way == 6:
            start = int(rng.integers(0, len(other)))
            data[at : at + length] = other[start : start + length]
        elif way == 7 and not rng.integers(0, 3):
            data[at:] = other[int(rng.integers(0, len(other))) :]
    return bytes(data)


def _paths(value, path=()):
    yield path
    rows = value.items() if isinstance(value, dict) else enumerate(value[:50])
    if isinstance(value, dict | list):
        for key, part in rows if isinstance(value, dict | list) else ():
            yield from (
                _paths(part, (*path, key)) if isinstance(part, dict | list) else [(*path, key)]
            )


def mutate_json(rng, value):
    """The value with one or two of its parts taken out, doubled or replaced by odd ones."""
    value = json.loads(json.dumps(value))
    for _ in range(rng.integers(1, 3)):
        paths = [path for path in _paths(value) if path]
        if not paths:
            return value
        *parents, last = paths[rng.integers(0, len(paths))]
        home = value
        for key in parents:
            home = home[key]
        way = rng.integers(0, 6)
        if way == 0:
            del home[last]
        elif way == 1 and isinstance(home, list):
            home.append(home[last])
        elif way == 2 and isinstance(home, dict):
            home[str(last) + "x"] = home[last]
        elif way == 3:
            home[last] = [home[last]]
        else:
            home[last] = deepcopy(_ODD_VALUES[rng.integers(0, len(_ODD_VALUES))])
    return value


def mutate_xml(rng, data):
    """One or two elements taken out, doubled, moved into another, or with odd texts in them."""
    root = ElementTree.fromstring(data)
    odd = ("", "x", "-1", "nan", "inf", "1e999", "9" * 400, "0.5", "1,2;3", "../../x.png", "true")
    for _ in range(rng.integers(1, 3)):
        every = list(root.iter())
        home, other = (every[rng.integers(0, len(every))] for _ in range(2))
        value = odd[rng.integers(0, len(odd))]
        way = rng.integers(0, 6)
        if way == 0 and len(home):
            home.remove(home[rng.integers(0, len(home))])
        elif way == 1 and len(home):
            home.append(home[rng.integers(0, len(home))])
        elif way == 2 and other is not root and home not in list(other.iter()):
            home.append(other)
        elif way == 3:
            home.tag = other.tag
        elif home.attrib and way < 5:
            home.set(list(home.attrib)[rng.integers(0, len(home.attrib))], value)
        else:
            home.text = value
    return ElementTree.tostring(root)


def dumped(value):
    """JSON as a stranger writes it: NaN, huge integers and lone surrogates as they are."""
    limit = sys.get_int_max_str_digits()
    sys.set_int_max_str_digits(0)
    try:
        return json.dumps(value)
    finally:
        sys.set_int_max_str_digits(limit)


def mutate_message(rng, message, depth=0):
    """A protobuf message (of onnx's classes) with fields cleared, doubled or set to odd values."""
    fields = message.ListFields()
    if not fields:
        return
    field, value = fields[rng.integers(0, len(fields))]
    several = not isinstance(value, int | float | str | bytes) and hasattr(value, "__len__")
    way = rng.integers(0, 5)
    if field.type == field.TYPE_MESSAGE and way and depth < 9:
        inner = value[rng.integers(0, len(value))] if several else value
        mutate_message(rng, inner, depth + 1)
    elif several:
        at = int(rng.integers(0, len(value)))
        if way == 0:
            del value[at]
        elif way == 1 and field.type == field.TYPE_MESSAGE:
            value.add().CopyFrom(value[at])
        elif field.type != field.TYPE_MESSAGE:
            value[at] = _odd_scalar(rng, field, value[at])
    elif way == 0 or field.type == field.TYPE_MESSAGE:
        message.ClearField(field.name)
    else:
        setattr(message, field.name, _odd_scalar(rng, field, value))


def _odd_scalar(rng, field, value):
    if isinstance(value, str):
        names = ("", "Loop", "If", "Scan", "Expand", "ConstantOfShape", "Tile", "image", "x" * 5000)
        return names[rng.integers(0, len(names))]
    if isinstance(value, bytes):
        return mutate_bytes(rng, value, value) if value else b"x"
    if isinstance(value, float):
        return (0.0, -1.0, 1e30, float("nan"))[rng.integers(0, 4)]
    if field.type == field.TYPE_ENUM:  # protobuf takes no others
        known = field.enum_type.values
        return known[rng.integers(0, len(known))].number
    top = 2**31 - 1 if field.type == field.TYPE_INT32 else 2**62
    return (0, 1, 7, top, 3, 10)[rng.integers(0, 6)]


# --- the kinds: whole files, how strangers change them, and how we read them


class Kind:
    """`seeds` are whole files; `change(rng, i)` gives a changed one; `read(path)` reads it."""

    name, growth = "x", GROWTH

    def __init__(self, folder):
        self.folder = folder
        self.seeds = self.make()

    def change(self, rng):
        """Bytes of a changed file."""
        first, second = (self.seeds[rng.integers(0, len(self.seeds))] for _ in range(2))
        return mutate_bytes(rng, first, second)


class Model(Kind):
    """Exported files; half of those changed are sealed again, as whoever made them would do."""

    name = "m.onnx"

    def make(self):
        return [file.read_bytes() for file in sorted(GOLDEN.glob("*.onnx"))]

    def change(self, rng):
        if rng.integers(0, 3) == 0:
            return super().change(rng)
        import onnx

        model = onnx.ModelProto.FromString(self.seeds[rng.integers(0, len(self.seeds))])
        about = json.loads(model.metadata_props[0].value)
        if rng.integers(0, 2):
            about = mutate_json(rng, about)
        else:
            for _ in range(rng.integers(1, 3)):
                mutate_message(rng, model.graph if rng.integers(0, 4) else model)
        return resealed(model, about)

    def read(self, path):
        from onecycle.runtime.predictor import Predictor

        predictor = Predictor(path, threads=1)
        given = predictor.input
        source = {
            "image": np.arange(30 * 41 * 3, dtype=np.uint8).reshape(30, 41, 3),
            "text": "what a great film, and so dull!",
        }.get(given.kind, np.sin(np.arange(40.0)))
        found = predictor.predict(source)
        predictor.target.reply(found.answer, found.probabilities)
        return str(found), found.probabilities.tobytes()


def resealed(model, about):
    """The bytes of an onnx model with these metadata and their true digest."""
    from onecycle.runtime import file as form

    del model.metadata_props[1:]
    try:
        graph = model.graph.SerializeToString(deterministic=True)
        if isinstance(about, dict) and "sha256" in about:
            about["sha256"] = form.digest(graph, json.loads(dumped(about)))
    except (ValueError, UnicodeError):
        pass
    if not model.metadata_props:
        model.metadata_props.add().key = form.KEY
    model.metadata_props[0].value = dumped(about)
    return model.SerializeToString(deterministic=True)


class Tensors(Kind):
    """A safetensors file whose header is changed as JSON; `seal` mends what vouches for it."""

    def change(self, rng):
        if rng.integers(0, 3) == 0:
            return super().change(rng)
        data = self.seeds[rng.integers(0, len(self.seeds))]
        length = int.from_bytes(data[:8], "little")
        header, rest = json.loads(data[8 : 8 + length]), data[8 + length :]
        about = header.get("__metadata__", {})
        inner = next((k for k in about if about[k][:1] in "{["), None)
        if inner and rng.integers(0, 2):
            about[inner] = dumped(mutate_json(rng, json.loads(about[inner])))
            self.seal(about, data)
        else:
            header = mutate_json(rng, header)
        text = dumped(header).encode("utf-8", "replace")
        return len(text).to_bytes(8, "little") + text + rest

    def seal(self, about, data):
        """Nothing vouches for the header."""


class Checkpoint(Tensors):
    """What `learn.save` writes."""

    name = "c.safetensors"

    def make(self):
        import torch

        from onecycle.data.targets import Category
        from onecycle.data.task import Task
        from onecycle.learn import checkpoint
        from onecycle.vision.input import ImageInput

        torch.manual_seed(0)
        self.model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4))
        self.task = Task(ImageInput(size=(24, 24)), Category(("cat", "dog")))
        file = self.folder / "whole.safetensors"
        tensors = checkpoint.tensors_of(self.model, None)
        checkpoint.save(file, tensors, self.task, None, {"history": [{"epoch": 0}]})
        return [file.read_bytes()]

    def seal(self, about, data):
        from safetensors.torch import load

        from onecycle.learn import checkpoint

        about["sha256"] = checkpoint.digest(load(data), about["onecycle"])

    def read(self, path):
        from onecycle.learn import checkpoint

        checkpoint.load(path, self.model, self.task, True, "warn")
        checkpoint.stored_row(path, self.model, self.task)


class Weights(Tensors):
    """Weights of other programs, safetensors."""

    name = "w.safetensors"

    def make(self):
        import torch
        from safetensors.torch import save

        self.net = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4))
        return [save(self.net.state_dict())]

    def read(self, path):
        from onecycle.models.weights import load_weights

        load_weights(self.net, path)


class Pickled(Kind):
    """Weights of other programs, torch's own zip of a restricted pickle."""

    name = "w.pth"

    def make(self):
        import torch

        self.net = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4))
        found = []
        for old in (True, False):
            held = io.BytesIO()
            torch.save(self.net.state_dict(), held, _use_new_zipfile_serialization=not old)
            found.append(held.getvalue())
        return found

    read = Weights.read


class Encoders(Tensors):
    """Text encoders in our own format."""

    name = "e.safetensors"

    def make(self):
        from onecycle.models.awd_lstm import AWD_LSTM
        from onecycle.text.pretrained import write_encoder

        made = AWD_LSTM(12, 4, 6, 2)
        write_encoder(self.folder / "whole.safetensors", made, [f"w{i}" for i in range(12)])
        return [(self.folder / "whole.safetensors").read_bytes()]

    def read(self, path):
        from onecycle.text.pretrained import read_encoder

        found = read_encoder(path)
        assert found.sizes
        found.for_vocab(["w3", "new"])


class TextData(Tensors):
    """What `data.save` writes of texts."""

    name = "data_save.pkl"

    def make(self):
        import pandas as pd

        from onecycle.text.lists import TextList

        frame = pd.DataFrame({"label": list("abab") * 5, "text": ["it is fine", "so dull !"] * 10})
        parts = TextList.from_df(frame, path=self.folder, cols="text")
        data = parts.split_by_idx([1, 2, 4, 7]).label_from_df(cols="label").databunch(bs=4)
        return [Path(data.save("whole.pkl")).read_bytes()]

    def read(self, path):
        from onecycle.text.saved import load_data

        data = load_data(path.parent, path.name)
        for x, _ in data.train_dl:
            assert len(x)
        assert data.classes is not None


class Image(Kind):
    """Images of one format, in several modes."""

    growth = 16 * MOST  # a WebP is decoded as four bytes a pixel, twice, and then copied

    def __init__(self, folder, form):
        self.form, self.name = form, f"i.{form.lower()}"
        super().__init__(folder)

    def make(self):
        rng, found = np.random.default_rng(1), []
        pixels = rng.integers(0, 256, (37, 53, 4), dtype=np.uint8)
        exif = Pillow.Exif()
        exif[274] = 6
        for mode in ("RGB", "L", "P", "RGBA", "1", "I;16"):
            whole = Pillow.fromarray(pixels)
            image = whole.convert("L") if mode == "I;16" else whole.convert(mode)
            image = image.convert("I").convert(mode) if mode == "I;16" else image
            held = io.BytesIO()
            try:
                more = {"exif": exif} if self.form in {"JPEG", "PNG", "WEBP"} else {}
                image.save(held, self.form, **more)
            except (OSError, KeyError):
                continue
            found.append(held.getvalue())
        if self.form in {"GIF", "PNG", "TIFF", "WEBP"}:
            held = io.BytesIO()
            frames = [Pillow.fromarray(np.roll(pixels[..., :3], i, 0)) for i in range(3)]
            frames[0].save(held, self.form, save_all=True, append_images=frames[1:])
            found.append(held.getvalue())
        return found

    def read(self, path):
        from onecycle.runtime.inputs import pixels

        with_faults(lambda: pixels.open_size(path))
        with_faults(lambda: pixels.open_indexes(path))
        with_faults(lambda: pixels.open_pixels(path, (12, 10)))
        pixels.sniff(path), pixels.is_plain(path), pixels.open_turn(path)
        pixels.open_pixels(path.read_bytes())


FILES = {"a.txt": b"one", "sub/b.txt": b"two" * 1000, "sub/c": b"", "d": bytes(range(256)) * 8}


class Archive(Kind):
    """Archives of one ending."""

    def __init__(self, folder, ending):
        self.ending, self.name = ending, f"a.{ending}"
        self.count = 0
        super().__init__(folder)

    def make(self):
        held = io.BytesIO()
        if self.ending == "zip":
            with zipfile.ZipFile(held, "w") as opened:
                for i, (name, data) in enumerate(FILES.items()):
                    pack = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)[i % 2]
                    opened.writestr(zipfile.ZipInfo(name), data, pack)
        elif self.ending == "7z":
            import py7zr

            with py7zr.SevenZipFile(held, "w") as opened:
                for name, data in FILES.items():
                    opened.writestr(data, name)
        else:
            pack = self.ending.partition("tar.")[2]
            with tarfile.open(fileobj=held, mode=f"w:{pack}", format=tarfile.PAX_FORMAT) as opened:
                for name, data in FILES.items():
                    info = tarfile.TarInfo(name)
                    info.size = len(data)
                    info.pax_headers = {"comment": "a" * 20} if name == "d" else {}
                    opened.addfile(info, io.BytesIO(data))
                info = tarfile.TarInfo("link")
                info.type, info.linkname = tarfile.SYMTYPE, "sub/b.txt"
                opened.addfile(info)
        return [held.getvalue()]

    def change(self, rng):
        if self.ending != "tar":
            return super().change(rng)
        data = bytearray(super().change(rng))
        for at in range(0, len(data) - 511, 512):  # the sums of headers are right again
            block = data[at : at + 512]
            if block[257:262] == b"ustar":
                block[148:156] = b" " * 8
                data[at + 148 : at + 156] = b"%06o\0 " % sum(block)
        return bytes(data)

    def read(self, path):
        from onecycle.fetch.archives import extract

        self.count += 1
        to = path.parent / f"out{self.count}"
        before = set(path.parent.iterdir())
        extract(path, to)
        outside = [f for f in to.rglob("*") if f.is_symlink() or not f.resolve().is_relative_to(to)]
        assert not outside, outside
        assert set(path.parent.iterdir()) - before == {to}


class Text(Kind):
    """Files of lines and cells, changed by odd pieces of text."""

    PIECES = (
        *(b'"', b"\0", b"\n", b"\r", b",", b"\t", b";", b"\xff", b"\xef\xbb\xbf", b"\xff\xfe"),
        *(b"nan", b"inf", b"-1e999", b"9" * 400, b"?", b"1_0", "٣".encode(), b"@data", b":" * 70),
        *(
            b"=HYPERLINK(1)",
            b"," * 3000,
            b"x" * 9000,
            b"\xe2\x80\xae",
            b"1e5",
            b"#",
            b"@classLabel",
        ),
    )

    def change(self, rng):
        data = bytearray(super().change(rng) if rng.integers(0, 2) else self.seeds[0])
        for _ in range(rng.integers(1, 5)):
            at = int(rng.integers(0, len(data) + 1))
            piece = self.PIECES[rng.integers(0, len(self.PIECES))]
            data[at : at + int(rng.integers(0, 9))] = piece
        return bytes(data)


class Table(Text):
    """CSV tables of names and labels, read for training and for predicting."""

    name = "t.csv"

    def make(self):
        rows = "".join(f"{i}.png,{'ab'[i % 2]},{i % 3 == 0},some text {i}\n" for i in range(30))
        return [("file,label,valid,text\n" + rows).encode()]

    def read(self, path):
        from onecycle.cli.predict import Where, _of_table
        from onecycle.data import tables
        from onecycle.runtime.inputs.image import ImageSpec
        from onecycle.runtime.inputs.text import TextSpec

        for given in (ImageSpec(), TextSpec()):
            with_faults(lambda given=given: list(_of_table(path, given, Where())[2]))
        frame = tables.read_table(path)
        with_faults(lambda: tables.truths(frame, "valid"))
        tables.column(frame, 1)
        tables.looks_like_numbers(tables.column(frame, 0))


def with_faults(look):
    """`look`, which may be refused."""
    with suppress(OnecycleError):
        look()


class Cleaned(Text):
    """The cleaner's table."""

    name = "cleaned.csv"

    def make(self):
        names = tuple(f"{'ab'[i % 2]}/{i}.png" for i in range(9))
        from onecycle.interpret.cleaner import Review

        labels = tuple(name[0] for name in names)
        self.found = Review(self.folder, names, labels, ("a", "b"), (), ())
        return [("name,label\n" + "".join(f"{name},{name[0]}\n" for name in names)).encode()]

    def read(self, path):
        from onecycle.interpret.cleaner import earlier_answers

        earlier_answers(self.found, path)


class Series(Text):
    """Files of series: UCR's, UEA's, and CSV."""

    def __init__(self, folder, ending):
        self.ending, self.name = ending, f"s.{ending}"
        super().__init__(folder)

    def make(self):
        rows = [[f"{np.sin(i + t):.3f}" for t in range(12)] for i in range(6)]
        if self.ending == "ts":
            head = "#c\n@problemName x\n@timeStamps false\n@classLabel true a b\n@data\n"
            body = "".join(
                f"{','.join(r)}:{','.join(r)}:{'ab'[i % 2]}\n" for i, r in enumerate(rows)
            )
            return [(head + body).encode()]
        if self.ending == "tsv":
            return [
                "".join("\t".join([str(i % 2), *r]) + "\n" for i, r in enumerate(rows)).encode()
            ]
        return ["".join(",".join(r) + "\n" for r in zip(*rows[:1], strict=True)).encode()]

    def read(self, path):
        from onecycle.runtime.inputs.series import as_series, series_of
        from onecycle.runtime.inputs.series_files import labels_are, read_series

        if self.ending == "csv":
            series_of(path, 1)
        else:
            with_faults(lambda: labels_are(path))
            for one in read_series(path)[0]:
                as_series(one)


class Json(Kind):
    """Files of JSON."""

    def change(self, rng):
        if rng.integers(0, 3) == 0:
            return super().change(rng)
        whole = json.loads(self.seeds[rng.integers(0, len(self.seeds))])
        return dumped(mutate_json(rng, whole)).encode()


class Theme(Json):
    """Themes of a page."""

    name = "theme.json"

    def make(self):
        look = {"mouth": 1, "open": 0.3, "colour": "#aabbcc"}
        return [json.dumps({"glad": look, "sad": "x"}).encode()]

    def read(self, path):
        from onecycle.runtime.site import check_theme
        from onecycle.runtime.targets.category import CategorySpec

        json.dumps(check_theme(path, CategorySpec(("glad", "sad"))), allow_nan=False)


class Words(Json):
    """Vocabularies."""

    name = "vocab.json"

    def make(self):
        return [json.dumps(["xxunk", "xxpad", "a", "b"]).encode()]

    def read(self, path):
        from onecycle.runtime.inputs.text import Vocab

        Vocab.load(path)


class Tokenizer(Json):
    """Subword tokenizers, as a model file brings them."""

    name = "tokenizer.json"

    def make(self):
        from onecycle.runtime.inputs.subwords import train_subwords

        texts = ["the film was great", "it was so dull", "a fine film"] * 9
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return [train_subwords(texts, 40, model).encode() for model in ("bpe", "unigram")]

    def read(self, path):
        from onecycle.runtime.inputs import subwords

        text = path.read_text("utf-8", "replace")
        for look in (
            *(subwords.pieces_of, subwords.padding_of, subwords.unknown_of, subwords.uncut),
            lambda text: subwords.encode_texts(text, ["the film, so great", ""]),
        ):
            with_faults(lambda look=look: look(text))
        subwords.tokenizer_of(text)


class Annotated(Kind):
    """What one labelling tool writes of two images, read as masks, boxes, points and classes."""

    PIECES = (
        *(b'"', b"<", b">", b"/", b"&a;", b"<!DOCTYPE a>", b"<a>" * 200, b"nan", b"inf", b"1e999"),
        *(b"-1", b"9" * 400, b"99999999", b" ", b",", b";", b"\0", b"\xff", b"../../x.png", b"\n"),
        *(b"\xe2\x80\xae", b"true", b"null", b"[]", b"*a", b"&a [*a, *a]", b"!!python/object:x"),
    )
    FILES: ClassVar = {
        "coco": "labels.json",
        "labelme": "lamp.json",
        "labelstudio": "export.json",
        "cvat": "annotations.xml",
        "voc": "Annotations/lamp.xml",
        "yolo": "labels/lamp.txt",
        "yolo names": "data.yaml",
    }

    def __init__(self, folder, form):
        self.form, self.at = form.split()[0], self.FILES[form]
        self.name = Path(self.at).name
        super().__init__(folder)

    def make(self):
        self.home = self.folder / "set"
        annotated.WRITERS[self.form](self.home)
        if self.form == "labelstudio":
            self._add_brush()
        return [(self.home / self.at).read_bytes()]

    def _add_brush(self):
        tasks = json.loads((self.home / self.at).read_text())
        value = {"format": "rle", "rle": annotated.brush(annotated.MASK == 1)}
        row = annotated.region("brushlabels", **value, brushlabels=["x"])
        tasks[0]["annotations"][0]["result"].append(row)
        (self.home / self.at).write_text(json.dumps(tasks))

    def change(self, rng):
        way, data = rng.integers(0, 4), self.seeds[0]
        if way and self.at.endswith(".json"):
            return dumped(mutate_json(rng, json.loads(data))).encode("utf-8", "replace")
        if way and self.at.endswith(".xml"):
            return mutate_xml(rng, data)
        if way:  # one or two of the words and numbers
            words = re.split(rb"(\s+)", data)
            for _ in range(rng.integers(1, 3)):
                words[rng.integers(0, len(words))] = self.PIECES[rng.integers(0, len(self.PIECES))]
            return b"".join(words)
        return super().change(rng)

    def read(self, path):
        from onecycle.vision import lists

        (self.home / self.at).write_bytes(path.read_bytes())
        with redirect_stdout(io.StringIO()):
            for kind in (lists.ImageList, lists.PointsItemList, lists.ObjectItemList):
                with_faults(lambda kind=kind: kind.from_annotations(self.home))
            boxes = self.form == "voc"
            found = lists.ObjectItemList if boxes else lists.SegmentationItemList
            made = found.from_annotations(self.home)
        for label in made.frame["annotation"]:
            assert len(label) == 2 if boxes else made.label_cls.encode(label).ndim == 3


KINDS = {
    "onnx": Model,
    "checkpoint": Checkpoint,
    "safetensors": Weights,
    "pth": Pickled,
    "encoder": Encoders,
    "textdata": TextData,
    "table": Table,
    "cleaned": Cleaned,
    "theme": Theme,
    "vocabulary": Words,
    "tokenizer": Tokenizer,
    **{e: lambda folder, e=e: Series(folder, e) for e in ("ts", "tsv", "csv")},
    **{
        e: lambda folder, e=e: Archive(folder, e)
        for e in ("zip", "tar", "tar.gz", "tar.bz2", "tar.xz", "7z")
    },
    **{form: lambda folder, form=form: Annotated(folder, form) for form in Annotated.FILES},
    **{
        form.lower(): lambda folder, form=form: Image(folder, form)
        for form in ("JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF", "AVIF")
    },
}


def _too_long(*_):
    raise TimeoutError(f"took more than {SECONDS} s")


def outcome(kind, path):
    """ "read", "refused", or what was wrong with how one file was read."""
    forget_peak()
    before = peak_bytes()
    alarm = getattr(signal, "alarm", int)  # Windows has none
    if alarm is not int:
        signal.signal(signal.SIGALRM, _too_long)
    alarm(SECONDS)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            kind.read(path)
        found = "read"
    except OnecycleError as error:
        found = (
            "refused" if len(str(error)) < 3000 else f"a message of {len(str(error))} characters"
        )
    except BaseException as error:  # of any kind: it is what is looked for
        where = error.__traceback__
        while where.tb_next:
            where = where.tb_next
        place = f"{Path(where.tb_frame.f_code.co_filename).name}:{where.tb_lineno}"
        found = f"{type(error).__name__} at {place}: {str(error)[:150]}"
    finally:
        alarm(0)
    grown = peak_bytes() - before
    return found if grown < kind.growth else f"{found}; memory grew by {grown >> 20} MB"


def changed(kind, name, i):
    """The `i`-th changed file of a kind."""
    return kind.change(np.random.default_rng([zlib.crc32(name.encode()), i]))


def fuzz(name, folder, count, start=0):
    """(i, outcome) of each changed file."""
    kind = KINDS[name](folder)
    for seed in kind.seeds:  # whole files are read, and what is imported on the way is there
        path = folder / kind.name
        path.write_bytes(seed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            kind.read(path)
    for i in range(start, start + count):
        path.write_bytes(changed(kind, name, i))
        yield i, outcome(kind, path)


def main():
    """Fuzz one kind, and print what became of the files."""
    parser = argparse.ArgumentParser()
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--start", type=int, default=0)
    parser.add_argument("--keep", type=Path, help="write the files that went wrong here")
    given = parser.parse_args()
    faulthandler.enable()
    found = Counter()
    first = {}
    with tempfile.TemporaryDirectory() as folder:
        mark = given.keep and given.keep / f"{given.kind}.at"
        for i, result in fuzz(given.kind, Path(folder), given.count, given.start):
            key = result if result in {"read", "refused"} else result.split(": ")[0]
            if key not in found:
                first[key] = (i, result)
            found[key] += 1
            if mark:
                mark.write_text(str(i + 1))
    for key, number in found.most_common():
        print(
            f"{given.kind:12} {number:6} {key}"
            + (f"   e.g. {first[key]}" if key not in {"read", "refused"} else "")
        )


if __name__ == "__main__":
    main()
