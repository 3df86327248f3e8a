"""Makes the data of the example `keywords`: words that speech synthesizers say, in the folders of Speech Commands, and a recording.

    apt-get install espeak-ng flite        # and: pip install numpy
    python speak.py SOUNDS

It is synthetic speech, in noise, as a microphone of 12 bits at 8,000 samples a second gives it. The trainer holds out one voice in
ten; the recording is of these.
"""

import io
import subprocess
import sys
import wave
from pathlib import Path
from zlib import crc32

import numpy as np

HERE = Path(__file__).parent
RATE = 8000
KEYWORDS = ["go", "left", "right", "stop"]
OTHERS = ["bed", "cat", "five", "happy", "house", "marvin", "seven", "yes"]
TAKES = 4  # of each word by each voice
RECORDED = ["go", "cat", "stop", "left", "seven", "right", "left", "happy", "stop", "right", "yes", "go"]
PLACE = 3 * RATE // 2  # samples of the recording for a word

ACCENTS = ["en-us", "en-gb", "en-gb-scotland", "en-gb-x-rp", "en-gb-x-gbcwmd"]
VARIANTS = "m1 m2 m3 m4 m5 m6 m7 f1 f2 f3 f4 f5 adam Alex Alicia Andrea Andy Annie belinda benjamin ed Gene Henrique Hugo Jacky Lee linda max Michael michel Mike steph".split()
FLITE = ["kal16", "awb", "rms", "slt"]

rng = np.random.default_rng(1)


def synthesized(voice, word):
    """A word as a synthesizer says it, with a pace and pitch of chance; its own rate becomes ours."""
    pace, pitch = rng.uniform(0.8, 1.25), rng.uniform(0.8, 1.2)
    program, name = voice.split("_", 1)
    if program == "flite":
        words = ["flite", "-voice", name, "--setf", f"duration_stretch={1 / pace:.3f}", "-t", word, "-o", "/dev/stdout"]
    else:
        words = ["espeak-ng", "-v", name, "-s", f"{160 * pace:.0f}", "-p", f"{50 * pitch:.0f}", "--stdout", word]
    sound = subprocess.run(words, check=True, capture_output=True).stdout
    with wave.open(io.BytesIO(sound)) as file:
        rate = file.getframerate()
    # A program that writes to a pipe does not know the length for its header.
    samples = np.frombuffer(sound[44 : len(sound) // 2 * 2], "<i2").astype(float)
    spectrum = np.fft.rfft(samples)
    spectrum[int(len(samples) * 0.45 * RATE / rate) :] = 0
    count = len(samples) * RATE // rate
    samples = np.interp(np.arange(count) * rate / RATE, np.arange(len(samples)), np.fft.irfft(spectrum, len(samples)))
    loud = np.flatnonzero(np.abs(samples) > 0.02 * np.abs(samples).max())
    return (samples / np.abs(samples).max())[loud[0] : loud[-1]][: 9 * RATE // 10]


def noise(count):
    """Noise between white and brown, and hum."""
    white = np.fft.rfft(rng.standard_normal(count))
    colored = np.fft.irfft(white / np.arange(1, len(white) + 1) ** rng.uniform(0, 0.8), count)
    hum = np.sin(2 * np.pi * rng.uniform(50, 200) * np.arange(count) / RATE + rng.uniform(0, 6))
    return colored / colored.std() + rng.uniform(0, 1) * hum


def microphone(samples):
    """12 of 16 bits."""
    return (np.clip(samples, -32768, 32767).astype(np.int32) & ~15).astype("<i2")


def write(path, samples):
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, RATE, 0, "NONE", ""))
        file.writeframes(microphone(samples).tobytes())


def said(voice, word, count, place):
    """A word at a place of silence."""
    samples = np.zeros(count)
    sound = synthesized(voice, word)
    start = int(place * (count - len(sound)))
    samples[start : start + len(sound)] = sound * rng.uniform(4000, 20000)
    return samples


def main(out):
    voices = [f"espeak_{accent}+{variant}" for accent in ACCENTS for variant in VARIANTS]
    voices = list(rng.choice(voices, 56, replace=False)) + [f"flite_{name}" for name in FLITE]
    for word in KEYWORDS + OTHERS:
        takes = TAKES if word in KEYWORDS else 1
        for voice in voices:
            for take in range(takes):
                samples = said(voice, word, RATE, rng.uniform()) + rng.uniform(20, 300) * noise(RATE)
                write(out / word / f"{voice}_nohash_{take}.wav", samples)
        print(word)
    for index in range(8):
        write(out / "_background_noise_" / f"{index}.wav", rng.uniform(20, 1500) * noise(20 * RATE))
    held_out = [voice for voice in voices if crc32(voice.encode()) % 10 == 0]
    print("held out:", *held_out)
    recorded = [said(held_out[i % len(held_out)], word, PLACE, 0.2) for i, word in enumerate(RECORDED)]
    recorded = np.concatenate(recorded)
    (HERE / "keywords.raw").write_bytes(microphone(recorded + 100 * noise(len(recorded))).tobytes())


main(Path(sys.argv[1]))
