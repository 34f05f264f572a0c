"""Measures `larder resolve` on a store of many images that all match os and architecture; writes its page's figures to stdout.

Started by benches/resolve. Images are small, and have what it takes to choose: an os-release, 400 packages in dpkg's
database and 800 programs, of which a hundred packages are each image's own choice.
"""

import argparse
import os
import pathlib
import random
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time

sys.path.insert(0, os.path.dirname(__file__))
import scale_store
from measure import filesystem, machine, mib

COMMON, CHOSEN, POOL, PROGRAMS = 300, 100, 2000, 800


def tar(files):
    """A layer with these files: path, content, mode."""
    layer = b""
    for path, content, mode in files:
        member = tarfile.TarInfo(path)
        member.size, member.mode = len(content), mode
        layer += member.tobuf(tarfile.USTAR_FORMAT) + content + bytes(-len(content) % 512)
    return layer + bytes(1024)


def base(at):
    programs = [(f"usr/bin/program-{at:02}-{number:03}", b"#!", 0o755) for number in range(PROGRAMS - 2)]
    release = ("usr/lib/os-release", b"ID=ubuntu\nVERSION_ID=\"25.04\"\n", 0o644)
    return tar([release, ("usr/bin/gcc-15", b"#!", 0o755), ("usr/bin/cmake", b"#!", 0o755), *programs])


def own(number):
    chosen = random.Random(number).sample(range(POOL), CHOSEN)
    names = [f"libcommon-{at}-dev" for at in range(COMMON)] + [f"libchosen-{at}-dev" for at in chosen]
    stanzas = [f"Package: {name}\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1.{number}-1\n" for name in names]
    return tar([("var/lib/dpkg/status", "\n".join(stanzas).encode(), 0o644)])


def fill(larder, store, images, work):
    bases = [base(at) for at in range(scale_store.BASES)]
    for begin in range(0, images, scale_store.BATCH):
        archive = scale_store.Archive(work / "batch.tar")
        for number in range(begin, min(begin + scale_store.BATCH, images)):
            archive.image(scale_store.name(number), [bases[number % len(bases)], own(number)])
        archive.close()
        subprocess.run([larder, "--store", store, "import", work / "batch.tar"], check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    scale_store.age(store, images)
    # A change of the index folds the uses into it, as the next import or tag would.
    subprocess.run([larder, "--store", store, "pin", scale_store.name(0)], check=True, stdout=subprocess.DEVNULL)
    scale_store.use_again(store)


def make(larder, store, images):
    """Makes the store in memory, where an fsync costs nothing, and copies it to its place."""
    with tempfile.TemporaryDirectory(dir="/dev/shm", prefix="larder-resolve.") as work:
        fill(larder, pathlib.Path(work, "store"), images, pathlib.Path(work))
        subprocess.run(["cp", "-a", f"{work}/store", store], check=True)
    # The copy's cache is believed as if it had been written there.
    cache = store / ".larder/cache"
    home = (cache / "home").read_text().split(" ")[0]
    (cache / "home").write_text(f"{home} {cache.stat().st_ino}\n")


def measured(command):
    """Seconds, and what it printed."""
    begun = time.perf_counter()
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode not in (0, 3):
        sys.exit(f"resolve: {' '.join(map(str, command))}: exit code {done.returncode}\n{done.stderr}")
    return time.perf_counter() - begun, done.stdout


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=21, help="each measures every command once")
    parser.add_argument("--dir", type=pathlib.Path, required=True, help=argparse.SUPPRESS)
    parser.add_argument("--larder", required=True, help=argparse.SUPPRESS)
    options = parser.parse_args()
    store = options.dir / f"store.{options.images}"
    if not store.is_dir():
        make(options.larder, store, options.images)
    larder = lambda *words: [options.larder, "--store", store, *words]
    job = ["--os", "ubuntu:25.04", "--arch", "amd64"]
    kept = store / ".larder/cache/briefs"
    for file in kept.iterdir():
        file.unlink()
    first, _ = measured(larder("resolve", *job))
    commands = {
        "resolve, a compiler": larder("resolve", *job, "--compiler", "gcc-15"),
        "resolve, two packages and a tool": larder("resolve", *job, "--package", "libchosen-7-dev,libchosen-8-dev", "--tool", "cmake"),
        "resolve, nothing but os and architecture": larder("resolve", *job),
        "resolve, no such os": larder("resolve", "--os", "debian:12", "--arch", "amd64"),
        "images": larder("images"),
    }
    taken = {name: [] for name in commands}
    for _ in range(options.rounds):
        for name, command in commands.items():
            taken[name].append(measured(command)[0])
    briefs = sum(file.stat().st_size for file in kept.iterdir())
    print(f"{options.images:,} images; index.json {mib((store / 'index.json').stat().st_size)}, briefs {mib(briefs)}; {machine()}; {filesystem(store)}; load {os.getloadavg()[0]:.2f}")
    print(f"without briefs, which makes them from facts: {first:.1f} s\n")
    print("| command | median | fastest to slowest | beside `images` |\n|---|---|---|---|")
    beside = statistics.median(taken["images"])
    for name, seconds in taken.items():
        median = statistics.median(seconds)
        print(f"| {name} | {median * 1000:.0f} ms | {min(seconds) * 1000:.0f} to {max(seconds) * 1000:.0f} ms | {median / beside:.2f}x |")


if __name__ == "__main__":
    main()
