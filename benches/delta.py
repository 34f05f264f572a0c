"""Measures deltas between a layer and the same layer a month later; called by benches/delta."""

import argparse
import json
import os
import random
import resource
import statistics
import subprocess
import sys
import time


def touch(source, target, seed, epoch):
    """Gives every member of a tar another time, as a build from nothing does it."""
    rnd, now = random.Random(seed), epoch
    with open(source, "rb") as tar, open(target, "wb") as out:
        while True:
            header = bytearray(tar.read(512))
            if len(header) < 512 or not any(header):
                out.write(header)
                while rest := tar.read(1 << 20):
                    out.write(rest)
                return
            now += rnd.choice((0, 0, 0, 0, 0, 0, 1, 1, 2))
            size = int(header[124:135].strip(b"\0 ") or b"0", 8)
            if header[156:157] not in b"xgLK":
                header[136:148] = b"%011o\0" % now
                header[148:156] = b" " * 8
                header[148:156] = b"%06o\0 " % sum(header)
            out.write(header)
            left = -(-size // 512) * 512
            while left:
                piece = tar.read(min(left, 1 << 20))
                out.write(piece)
                left -= len(piece)


def larder(program, *arguments):
    """Runs the example; what it says of itself."""
    command = [program, *map(str, arguments)]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)


def peer(*command):
    """Runs another program: seconds, processor seconds, memory."""
    begin = time.monotonic()
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    if status:
        sys.exit(f"delta: {' '.join(command)} failed")
    return {
        "seconds": time.monotonic() - begin,
        "processor": usage.ru_utime + usage.ru_stime,
        "memory": usage.ru_maxrss << 10,
    }


def median(runs):
    """The medians of what the runs say in numbers."""
    numbers = [key for key, value in runs[0].items() if isinstance(value, (int, float))]
    return {key: statistics.median(run[key] for run in runs) for key in numbers}


def row(what, run, plain, size=None, blob=None):
    share = f"{size / 1e6:.2f} MB | {size / blob:.4f}" if size else "| "
    core, wall = plain / 1e6 / run["processor"], plain / 1e6 / run["seconds"]
    memory = run["memory"] / (1 << 20)
    print(f"| {what} | {share} | {run['seconds']:.2f} | {run['processor']:.2f} | {core:.0f} | {wall:.0f} | {memory:.0f} |")


def measure(program, data, name, rounds, level):
    base, target = (os.path.join(data, f"{name}-{which}") for which in ("before", "after"))
    out = os.path.join(data, f"{name}.out")
    plain, blob = os.path.getsize(target + ".tar"), os.path.getsize(target + ".zst")
    cores = os.cpu_count()
    print(f"\n{name}: {plain / 1e6:.0f} MB plain, {blob / 1e6:.1f} MB as larder's zstd:3 blob\n")
    print("| | bytes | of the blob | seconds | processor s | MB/s a core | MB/s | MiB |")
    print("|---|---|---|---|---|---|---|---|")
    for jobs in sorted({1, cores}):
        run = median([larder(program, "make", base + ".zst", target + ".zst", out, level, jobs) for _ in range(rounds)])
        row(f"larder, make, {jobs} thread(s)", run, plain, run["size"], blob)
    run = median([larder(program, "apply", base + ".zst", out) for _ in range(rounds)])
    row("larder, apply", run, plain)
    command = [program, "rebuild", base + ".zst", out, target + ".zst", cores]
    row(f"larder, apply and encode, {cores} thread(s)", median([larder(*command) for _ in range(rounds)]), plain)
    row("larder, prove", median([larder(program, "prove", target + ".zst", cores) for _ in range(rounds)]), plain)
    tars = (base + ".tar", target + ".tar")
    made = lambda: os.path.getsize(out)
    zstd, xdelta = ["zstd", "-q", "-f", "--long=31"], ["xdelta3", "-f", "-B", "2147483648", "-s", tars[0]]
    unpacks = ["-d", "--memory=2048MB", f"--patch-from={tars[0]}", out, "-o", "/dev/null"]
    for what, make, apply in (
        ("zstd -9 --long=31 --patch-from", [*zstd, "-9", f"--patch-from={tars[0]}", tars[1], "-o", out], [*zstd, *unpacks]),
        ("xdelta3 -9", [*xdelta, "-9", "-e", tars[1], out], [*xdelta, "-d", out, "/dev/null"]),
    ):
        row(what, median([peer(*make) for _ in range(rounds)]), plain, made(), blob)
        row(f"{what}, apply", median([peer(*apply) for _ in range(rounds)]), plain)
    os.unlink(out)


def main():
    sys.stdout.reconfigure(line_buffering=True)
    parser = argparse.ArgumentParser()
    parser.add_argument("--program")
    parser.add_argument("--data")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--level", type=int, default=6)
    parser.add_argument("--touch", nargs=4)
    arguments = parser.parse_args()
    if arguments.touch:
        source, target, seed, epoch = arguments.touch
        return touch(source, target, int(seed), int(epoch))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    print(f"load before: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores; medians of {arguments.rounds}")
    names = sorted(file[: -len("-after.zst")] for file in os.listdir(arguments.data) if file.endswith("-after.zst"))
    for name in names:
        measure(arguments.program, arguments.data, name, arguments.rounds, arguments.level)


if __name__ == "__main__":
    main()
