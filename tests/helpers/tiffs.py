"""TIFF files of any number of bands, depth and kind of number, written out tag by tag."""

import struct


def tiff(values, photometric=1, extra=None, bits=None, sample_format=1):
    """Uncompressed, little-endian; `values` (h, w) or (h, w, bands), `extra` the extra samples."""
    h, w = values.shape[:2]
    bands = 1 if values.ndim == 2 else values.shape[2]
    data = values.astype(values.dtype.newbyteorder("<")).tobytes()
    tags = {
        256: ("I", [w]),
        257: ("I", [h]),
        258: ("H", [bits or values.dtype.itemsize * 8] * bands),
        259: ("H", [1]),
        262: ("H", [photometric]),
        273: ("I", [0]),  # where the pixels begin: filled in below
        277: ("H", [bands]),
        278: ("I", [h]),
        279: ("I", [len(data)]),
        284: ("H", [1]),
    }
    if extra is not None:
        tags[338] = ("H", extra)
    if sample_format != 1:
        tags[339] = ("H", [sample_format] * bands)
    behind = 8 + 2 + 12 * len(tags) + 4
    entries, blob = [], b""
    for tag, (form, numbers) in sorted(tags.items()):
        raw = b"".join(struct.pack(f"<{form}", n) for n in numbers)
        if len(raw) > 4:
            raw, blob = struct.pack("<I", behind + len(blob)), blob + raw
        entries.append([tag, {"H": 3, "I": 4}[form], len(numbers), raw.ljust(4, b"\0")])
    for entry in entries:
        if entry[0] == 273:
            entry[3] = struct.pack("<I", behind + len(blob))
    packed = b"".join(struct.pack("<HHI", *entry[:3]) + entry[3] for entry in entries)
    return b"II*\0" + struct.pack("<IH", 8, len(entries)) + packed + b"\0" * 4 + blob + data
