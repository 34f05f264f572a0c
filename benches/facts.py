"""Measures facts of one image beside unpacking its layers. Started by benches/facts, which says how."""

import argparse
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time


def timed(command):
    """Wall-clock and processor seconds of a command."""
    before, begun = os.times(), time.monotonic()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    wall, after = time.monotonic() - begun, os.times()
    used = after.children_user + after.children_system - before.children_user - before.children_system
    return wall, used


def empty(cache):
    # The directory itself stays: larder knows its own by the inode.
    for part in cache.iterdir():
        shutil.rmtree(part) if part.is_dir() else part.unlink()


def as_imported(kept, cache):
    """What was learned of the layers, and nothing of the image."""
    empty(cache)
    shutil.copytree(kept, cache, ignore=shutil.ignore_patterns("facts"), dirs_exist_ok=True)


def measure(larder, archive, rounds, work):
    store = work / "store"
    facts = [larder, "--store", str(store), "inspect", "capy-debian-12-gcc12", "--format", "json"]
    subprocess.run([larder, "--store", str(store), "import", str(archive)], check=True, stdout=subprocess.DEVNULL)
    image = json.loads(subprocess.run(facts, check=True, capture_output=True).stdout)[0]
    layers = [str(store / "blobs/sha256" / layer["digest"].removeprefix("sha256:")) for layer in image["layers"]]
    cache, kept = store / ".larder/cache", work / "kept"
    shutil.copytree(cache, kept)
    steps = {
        "with listings": (lambda: as_imported(kept, cache), facts),
        "known": (lambda: None, facts),
        "without anything": (lambda: empty(cache), facts),
        "zstd -d of all layers": (lambda: None, ["zstd", "-dqc", *layers]),
    }
    times = {step: [] for step in steps}
    for _ in range(rounds):
        for step, (prepare, command) in steps.items():
            prepare()
            times[step].append(timed(command))
            if "inspect" in command:
                again = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)[0]
                assert again["facts"] == image["facts"], step
    return {step: [statistics.median(part) for part in zip(*measured)] for step, measured in times.items()}, image


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--archive", type=pathlib.Path, required=True)
    parser.add_argument("--larder", required=True)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.archive.parent, prefix="facts.") as work:
        medians, image = measure(options.larder, options.archive, options.rounds, pathlib.Path(work))
    plain = sum(layer["plain_size"] or 0 for layer in image["layers"])
    print(f"{plain / 1e9:.2f} GB in {len(image['layers'])} layers, {options.rounds} rounds, load {os.getloadavg()[0]:.1f}")
    whole = medians["zstd -d of all layers"]
    for step, (wall, used) in medians.items():
        print(f"{step:22} {wall:6.2f} s {used:6.2f} s of processor  {wall / whole[0]:5.2f}x {used / whole[1]:5.2f}x")
    wall, used = medians["with listings"]
    sys.exit(0 if wall <= whole[0] / 2 and used <= whole[1] / 2 else 1)


main()
