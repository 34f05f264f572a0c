"""Measures `larder images --with-package` over many images. Started by benches/packages, which says how."""

import argparse
import io
import json
import os
import pathlib
import random
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time

from scale_store import Archive

# What an answer may take, seconds; but for one that lists nearly all packages there are.
BAR = 0.2
EVERYTHING = "all that begins with lib: lib*"
BASES = 20
BATCH = 250
# Packages that an image has in another version than its base.
CHANGED = 12
ROUNDS = 9


def status(packages):
    stanza = "Package: {0}\nStatus: install ok installed\nPriority: optional\nSection: libs\nInstalled-Size: {3}\nMaintainer: Nobody <nobody@example.com>\nArchitecture: amd64\nMulti-Arch: same\nSource: {2}\nVersion: {1}\nDescription: {0} for images\n\n"
    return "".join(stanza.format(name, *of) for name, of in sorted(packages.items())).encode()


def layer(files):
    """A layer of these files; the same files, the same bytes."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for path, content in files.items():
            info = tarfile.TarInfo(path)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return out.getvalue()


def version(rng):
    return f"{rng.randrange(4)}.{rng.randrange(20)}.{rng.randrange(30)}-{rng.randrange(1, 9)}~deb12u{rng.randrange(1, 4)}"


def packages_of(base, count):
    """The packages of a base; some names are those of a real one."""
    rng = random.Random(f"base {base}")
    names = [f"lib{rng.choice('abcdefgh')}{number:03}-{base % 4}" for number in range(count - 2)]
    packages = {name: [version(rng), f"source-{number % 150}", rng.randrange(10_000)] for number, name in enumerate(names)}
    packages["libssl3"] = [f"3.0.{9 + base}-1~deb12u2", "openssl", 6000]
    packages["openssl"] = [f"3.0.{9 + base}-1~deb12u2", "openssl", 2000]
    return packages


def make(larder, images, count, work):
    """A store of images on twenty bases, each with a database of its own in its own layer."""
    bases = [packages_of(base, count) for base in range(BASES)]
    layers = [layer({"etc/os-release": b"ID=debian\nVERSION_ID=\"12\"\n", "var/lib/dpkg/status": status(base)}) for base in bases]
    for begin in range(0, images, BATCH):
        archive = Archive(work / "batch.tar")
        for number in range(begin, min(begin + BATCH, images)):
            rng, packages = random.Random(f"image {number}"), dict(bases[number % BASES])
            for name in rng.sample(sorted(packages), CHANGED):
                packages[name] = [version(rng), *packages[name][1:]]
            if number % 100 == 0:
                packages["rare"] = ["1.0-1", "rare", 10]
            archive.image(f"image-{number:05}:1", [layers[number % BASES], layer({"var/lib/dpkg/status": status(packages)})])
        archive.close()
        subprocess.run([*larder, "import", str(work / "batch.tar")], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        (work / "batch.tar").unlink()


def timed(command):
    begun = time.monotonic()
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE)
    return time.monotonic() - begun, done.stdout


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--larder", required=True)
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--packages", type=int, default=400)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="larder-bench.") as work:
        work = pathlib.Path(work)
        larder = [options.larder, "--store", str(work / "store")]
        make(larder, options.images, options.packages, work)
        ask = lambda *packages: [*larder, "images", "--format", "json", *(word for package in packages for word in ("--with-package", package))]
        cold, _ = timed(ask("libssl3"))
        kept = work / "store/.larder/cache/inventories"
        files = sorted(map(str, kept.iterdir()))
        sides = {
            "images, without a question": [*larder, "images", "--format", "json"],
            "a name: libssl3<3.0.14": ask("libssl3<3.0.14"),
            "of few images: rare": ask("rare"),
            "of none: nothing": ask("nothing"),
            "a source: src:openssl<3.0.14": ask("src:openssl<3.0.14"),
            "a pattern: libss*": ask("libss*"),
            EVERYTHING: ask("lib*"),
            "three: libssl3, openssl>3.0.10, rare": ask("libssl3", "openssl>3.0.10", "rare"),
            "cat of what is kept": ["cat", *files],
        }
        times, found = {side: [] for side in sides}, {}
        for _ in range(options.rounds):
            for side, command in sides.items():
                took, out = timed(command)
                times[side].append(took)
                found[side] = "" if side.startswith("cat") else len(json.loads(out))
        size = sum(os.path.getsize(file) for file in files)
    print(f"{options.images} images with {options.packages} packages, {size / 1e6:.1f} MB kept; read for the first time in {cold:.1f} s; load {os.getloadavg()[0]:.1f}\n")
    print("| asked | images | ms, median | smallest to largest |\n|---|---|---|---|")
    slow = []
    for side, all_ in times.items():
        median = statistics.median(all_)
        print(f"| {side} | {found[side]} | {median * 1e3:.0f} | {min(all_) * 1e3:.0f} to {max(all_) * 1e3:.0f} |")
        slow += [side] if median > BAR and side != EVERYTHING else []
    if slow:
        sys.exit(f"packages: over {BAR * 1e3:.0f} ms: {', '.join(slow)}")


main()
