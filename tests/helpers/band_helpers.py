"""Files of several bands, written by the packages that other programs write them with."""

import io

import numpy as np
import tifffile


def ramps(h=30, w=41, bands=5, dtype=np.uint16, seed=0):
    """Values (h, w, bands) without symmetry, of the whole range of 16 bits."""
    values = np.random.default_rng(seed).integers(0, 60_000, (h, w, bands))
    return values.astype(dtype)


def as_tiff(values, *more, **options):
    """The bytes of a TIFF of (h, w, bands) values; `more` are its further pages."""
    options = {"photometric": "minisblack", "planarconfig": "contig", **options}
    buffer = io.BytesIO()
    with tifffile.TiffWriter(buffer, bigtiff=options.pop("bigtiff", False)) as file:
        for page in (values, *more):
            file.write(page, metadata=None, **options)
    return buffer.getvalue()


def as_dicom(values, **tags):
    """The bytes of a DICOM file of stored numbers (h, w), (frames, h, w) or (h, w, 3)."""
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = CTImageStorage, generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made = FileDataset(None, {}, file_meta=meta, preamble=b"\0" * 128)
    made.SOPClassUID, made.SOPInstanceUID = CTImageStorage, meta.MediaStorageSOPInstanceUID
    colours = 3 if values.ndim == 3 and values.shape[2] == 3 else 1
    made.Rows, made.Columns = values.shape[:2] if colours == 3 else values.shape[-2:]
    made.SamplesPerPixel = colours
    made.PhotometricInterpretation = "MONOCHROME2" if colours == 1 else "RGB"
    if colours == 3:
        made.PlanarConfiguration = 0
    elif values.ndim == 3:
        made.NumberOfFrames = len(values)
    made.BitsAllocated = made.BitsStored = values.dtype.itemsize * 8
    made.HighBit, made.PixelRepresentation = made.BitsStored - 1, int(values.dtype.kind == "i")
    made.PixelData = values.tobytes()
    for name, value in tags.items():
        setattr(made, name, value)
    buffer = io.BytesIO()
    made.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()
