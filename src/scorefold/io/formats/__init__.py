"""One module a file format: each describes a file's arrays (`probe`) and opens one (`open_array`)."""

from scorefold.io.formats import image, mrc, npy, npz, tiff, zarr_arrays
from scorefold.io.formats.layout import FormatError, StoredArray

#: Format name -> module.
FORMATS = {"image": image, "tiff": tiff, "npy": npy, "npz": npz, "zarr": zarr_arrays, "mrc": mrc}

#: File name ending, in lower case -> format name.
FORMAT_OF_SUFFIX = {suffix: name for name, module in FORMATS.items() for suffix in module.SUFFIXES}

__all__ = ["FORMATS", "FORMAT_OF_SUFFIX", "FormatError", "StoredArray"]
