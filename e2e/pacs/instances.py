"""Lists DICOM files as JSON: identity, transfer syntax, and a hash of what matters in them.

usage: instances.py FILE_OR_FOLDER...   files without a SOP instance or file meta are left out
"""
import hashlib
import json
import os
import sys
import warnings

warnings.filterwarnings("ignore")
import pydicom  # noqa: E402


def files(paths):
    for path in paths:
        if os.path.isfile(path):
            yield path
        for folder, _, names in sorted(os.walk(path)):
            for name in sorted(names):
                yield os.path.join(folder, name)


def digest(ds):
    """The pixel data; without any, every element of the data set but private group lengths."""
    if "PixelData" in ds:
        return "pixels:" + hashlib.sha256(ds.PixelData).hexdigest()
    text = "\n".join(str(e) for e in ds.iterall() if e.tag.element != 0)
    return "elements:" + hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()


def describe(path):
    ds = pydicom.dcmread(path)
    return {
        "path": path,
        "sop": str(ds.SOPInstanceUID),
        "class": str(ds.SOPClassUID),
        "study": str(ds.StudyInstanceUID),
        "transferSyntax": str(ds.file_meta.TransferSyntaxUID),
        "hash": digest(ds),
        "bytes": os.path.getsize(path),
    }


def main():
    found = []
    for path in files(sys.argv[1:]):
        try:
            found.append(describe(path))
        except Exception:  # not a DICOM file, or one of pydicom's deliberately broken ones
            continue
    json.dump(found, sys.stdout)


main()
