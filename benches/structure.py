"""Measures `larder test` against container-structure-test's tar driver. Started by benches/structure, which says how."""

import argparse
import json
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

from packed import packed

IMAGE = "structure:1"
THEIRS = "container-structure-test, tar driver"
FILES = [
    "/bin/sh", "/etc/passwd", "/etc/os-release", "/usr/bin/g++-12", "/usr/bin/gcc-12", "/usr/bin/cmake", "/usr/bin/ninja",
    "/usr/bin/git", "/usr/bin/gdb", "/usr/bin/python3", "/usr/bin/valgrind", "/usr/bin/ccache", "/usr/bin/gfortran-12",
    "/usr/include/stdio.h", "/usr/lib/x86_64-linux-gnu/libc.so.6", "/tmp", "/var/lib/dpkg/status", "/usr/bin/make",
]
ABSENT = ["/usr/bin/clang", "/nothing/at/all", "/etc/passwd/x"]
CONTENTS = [
    ("/etc/passwd", "^root:x:0:0:"), ("/etc/os-release", "(?m)^ID=debian$"), ("/etc/os-release", "bookworm"),
    ("/usr/include/stdio.h", "printf"), ("/var/lib/dpkg/status", "Package: g\\\\+\\\\+-12"), ("/etc/debian_version", "^12\\\\."),
    ("/etc/group", "(?m)^root:"), ("/usr/share/doc/bash/copyright", "GPL"),
]


def checks():
    lines = ["schemaVersion: 2.0.0", "fileExistenceTests:"]
    lines += [f"- {{name: '{path}', path: {path}}}" for path in FILES]
    lines += [f"- {{name: '{path}', path: {path}, shouldExist: false}}" for path in ABSENT]
    lines += ["fileContentTests:"]
    lines += [f"- {{name: '{path}', path: {path}, expectedContents: [\"{text}\"]}}" for path, text in CONTENTS]
    lines += ["metadataTest: {cmd: [/bin/bash]}", ""]
    return "\n".join(lines)


def one_check():
    return f"schemaVersion: 2.0.0\nfileExistenceTests: [{{name: one, path: {FILES[0]}}}]\n"


def timed(command, checks):
    begun = time.monotonic()
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    took = time.monotonic() - begun
    report = json.loads(done.stdout)
    if (report["Pass"], report["Fail"]) != (checks, 0):
        sys.exit(f"structure: {command[0]} says {report['Pass']} passed, {report['Fail']} failed:\n{done.stdout.decode()[:4000]}")
    return took


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--layer", required=True)
    parser.add_argument("--larder", required=True)
    parser.add_argument("--peer", required=True)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--one", action="store_true", help="the tar driver does one check alone, and larder still all 30")
    options = parser.parse_args()
    archive = packed(pathlib.Path(options.layer), IMAGE)
    with tempfile.TemporaryDirectory(prefix="larder-bench.") as work:
        work = pathlib.Path(work)
        file = work / "checks.yml"
        file.write_text(checks())
        theirs_file = work / "theirs.yml"
        theirs_file.write_text(one_check() if options.one else checks())
        print(f"{THEIRS}: {'one check' if options.one else '30 checks'}; larder: 30", file=sys.stderr)
        larder = [options.larder, "--store", str(work / "store")]
        subprocess.run([*larder, "import", archive], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        test = ["test", "--format", "json", "-f", str(file)]
        sides = {
            "larder, archive": [*larder, *test, "--archive", archive],
            "larder, store": [*larder, *test, IMAGE],
            THEIRS: [
                options.peer, "test", "--driver", "tar", "--image", archive, "--output", "json", "--config", str(theirs_file),
            ],
        }
        times = {side: [] for side in sides}
        for _ in range(options.rounds):
            for side, command in sides.items():
                is_one = options.one and side == THEIRS
                times[side].append(timed(command, 1 if is_one else 30))
    medians = {side: statistics.median(all_) for side, all_ in times.items()}
    theirs = medians[THEIRS]
    print("| | seconds, median | ratio |\n|---|---|---|")
    for side, median in medians.items():
        print(f"| {side} | {median:.2f} | {median / theirs:.4f} |")
    if any(median > 0.3 * theirs for side, median in medians.items() if side.startswith("larder")):
        sys.exit("structure: larder takes more than 0.3 of the tar driver")


main()
