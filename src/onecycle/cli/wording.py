"""What the library says to programs, in the words of the shell: options instead of arguments."""

import re

# In this order: (regular expression of what the library says, what is said instead).
WORDS: tuple[tuple[str, str], ...] = (
    (
        r'databunch\(check="all"\) looks at all, .*; check="sample" keeps this without the warning',
        "onecycle eval reads all of them, once there is a model",
    ),
    (
        r"give it stratify=, another seed, or split_by_idx\), or pass unknown=\"drop\"",
        "take --stratify, another --seed, or say with --valid-col which validate)",
    ),
    (
        r"filter_by_folder\(exclude=(.*)\) before the split; if they are classes, name all in "
        r"classes=",
        r"move \1 elsewhere; if they are classes, all is well",
    ),
    (
        r"say label_cls=Category, or give them as whole numbers or text: "
        r"\S+\. If not, label_cls=Numbers keeps them without this warning",
        "write them into the table as whole numbers or text",
    ),
    (
        r"say label_cls=Numbers; if not, label_cls=Category keeps them without this warning",
        "write them into the table with a point, as 7.0",
    ),
    (r"\(label_delim=\)\? label_cls=Category keeps them without this warning", "(--label-delim)?"),
    (r"label_cls=Mask\(void=255\)", "--void 255"),
    (r"label_cls=Mask\(void=\.\.\.\)", "--void NUMBER"),
    (r"with unicodedata\.normalize\('NFC', name\), in label_from_func or in", "on the disk or in"),
    (r"give resume= another name", "give another --out"),
    (r"Use databunch\(bs=\.\.\.\) of 2 or more for each process; .*? by itself", "Take --bs 2"),
    (r"or to_fp16\(\)", "or --fp16"),
    (r"to_fp16\(\) or to_bf16\(\)", "--fp16 or --bf16"),
    (r'\(pretrained="weights\.safetensors"\)', "(--pretrained weights.safetensors)"),
    (r"\(models\.small\)", "(--arch small)"),
    (r'use pretrained="small", which comes with onecycle', "take --pretrained yes"),
    (r"pretrained=False", "--pretrained no"),
    (r"Give transform\(\) a size, for example size=(\d+)", r"Say --size \1"),
    (r"use transform\(size=(\d+)\) or less", r"take --size \1 or less"),
    (r"give transform\(\) another size", "take another --size"),
    (r"kfold needs scikit-learn", "--folds need scikit-learn"),
    (
        r"stratify= goes by classes, and these are none: (.*?)\. Give a column of classes, .* each",
        r"--stratify goes by classes, and these labels are none: \1. Leave it out",
    ),
    (
        r"stratify= finds (.*) It is a column of classes \(of tags, with label_delim=\), a function"
        r" of the item or a list",
        r"--stratify finds \1 Say which --label-col holds classes, or leave it out",
    ),
    (r"group_by= gives", "--group-col has"),
    (r"valid_pct (\S+) and test_pct (\S+) leave", r"--valid-pct \1 and --test-pct \2 leave"),
    (
        r" \([^)]*\): give a function that makes them so, such as .*",
        ": write them so into the table",
    ),
    (r"\blabel_delim=(\S+) divides", r"--label-delim \1 divides"),
    (r"\bbs=(\d+)", r"--bs \1"),
)
_KNOWN = tuple((re.compile(old, re.DOTALL), new) for old, new in WORDS)


def in_shell(message: str) -> str:
    """The same message, naming the shell's option where the library names an argument."""
    for old, new in _KNOWN:
        message = old.sub(new, message)
    return message
