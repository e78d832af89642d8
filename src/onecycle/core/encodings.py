"""How the bytes of a text are to be read."""


def encoding_by_mark(begin: bytes) -> str:
    """UTF-16 where a text's first bytes are its mark, else UTF-8, whose mark is left out."""
    return "utf-16" if begin[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
