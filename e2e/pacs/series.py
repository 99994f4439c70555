"""Makes series of small CT images, each series of a study of its own.

usage: series.py TEMPLATE FOLDER SEED SERIES IMAGES   writes FOLDER/<series>/<image>.dcm
"""
import os
import random
import sys
import warnings

warnings.filterwarnings("ignore")
import pydicom  # noqa: E402

SIDE = 16  # pixels


def main():
    template, folder, seed, series, images = sys.argv[1:3] + [int(x) for x in sys.argv[3:6]]
    source = random.Random(seed)
    ds = pydicom.dcmread(template)
    ds.Rows = ds.Columns = SIDE
    ds.PatientID = "SERIES"
    ds.PatientName = "Series^Test"
    for s in range(1, series + 1):
        root = "1.2.826.0.1.3680043.8.498.%d.%d" % (seed, s)
        ds.StudyInstanceUID, ds.SeriesInstanceUID = root, root + ".1"
        os.makedirs(os.path.join(folder, str(s)))
        for i in range(1, images + 1):
            ds.SOPInstanceUID = "%s.1.%d" % (root, i)
            ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
            ds.InstanceNumber = i
            ds.PixelData = source.randbytes(2 * SIDE * SIDE)
            ds.save_as(os.path.join(folder, str(s), "%04d.dcm" % i))


main()
