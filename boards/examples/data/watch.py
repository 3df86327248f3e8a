"""Makes the data of the example `gestures` from the watch data set of seglearn: CSV files to train from, and a recording.

    pip install numpy
    pip download --no-deps seglearn==1.2.5
    python -m zipfile -e seglearn-1.2.5-py3-none-any.whl seglearn
    python watch.py seglearn/seglearn/data/watch_dataset.npy

The device reads a motion sensor of 6 axes, of 4 g and 500 degrees a second of full scale, 25 times a second. A code is the upper
byte of a sample, rounded half up, so that training sees what the device computes.
"""

import csv
import sys
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
HELD_OUT_SUBJECTS = (9, 10)
ROWS = 250  # of each recording, from its middle
RECORDED_ROWS = 100  # of each exercise of those who are held out
LSB_PER_G, LSB_PER_RAD_S = 8192, 65.5 * 180 / np.pi
AXES = ["ax", "ay", "az", "gx", "gy", "gz"]
NAMES = ["pendulum", "abduction", "elevation", "inward", "outward", "trapezius", "row"]


def sensed(samples):
    """Samples in g and rad/s, 50 a second, as a sensor gives them: 16 bits, 25 a second, means of two."""
    pairs = samples[: len(samples) // 2 * 2].reshape(-1, 2, 6).mean(axis=1)
    scale = np.array([LSB_PER_G] * 3 + [LSB_PER_RAD_S] * 3)
    return np.clip(np.round(pairs * scale), -32768, 32767).astype("<i2")


def middle(samples, rows):
    start = (len(samples) - rows) // 2
    return samples[start : start + rows]


def codes(samples):
    return np.clip((samples.astype(np.int32) + 128) >> 8, -127, 127)


def main(source):
    watch = np.load(source, allow_pickle=True).item()
    recordings = [
        (sensed(samples), NAMES[int(label)], int(subject))
        for samples, label, subject in zip(watch["X"], watch["y"], watch["subject"])
    ]
    for name, is_held_out in [("train", False), ("test", True)]:
        with open(HERE / "gestures" / f"{name}.csv", "w", newline="") as file:
            table = csv.writer(file, lineterminator="\n")
            table.writerow([*AXES, "label", "recording"])
            part = [r for r in recordings if (r[2] in HELD_OUT_SUBJECTS) == is_held_out]
            for index, (samples, label, _) in enumerate(part):
                table.writerows([*row, label, index] for row in codes(middle(samples, ROWS)))
            print(name, len(part), "recordings")
    recorded = [
        next(samples for samples, label, subject in recordings if (label, subject) == (name, held_out))
        for held_out in HELD_OUT_SUBJECTS
        for name in sorted(NAMES)
    ]
    parts = [middle(samples, RECORDED_ROWS) for samples in recorded]
    (HERE / "gestures.raw").write_bytes(np.concatenate(parts).astype("<i2").tobytes())


main(sys.argv[1])
