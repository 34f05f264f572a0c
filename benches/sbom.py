"""Measures `larder sbom` against syft, and says what only one of them finds. Started by benches/sbom, which says how."""

import argparse
import collections
import json
import pathlib
import re
import shutil
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
import urllib.parse

from packed import packed

THEIRS = "syft, archive"


def timed(commands):
    begun = time.monotonic()
    for command in commands:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        # What is damaged is 7, and what is whole is listed.
        if done.returncode not in (0, 7):
            sys.exit(f"sbom: {' '.join(command)}: {done.returncode}: {done.stderr.decode()[:2000]}")
    return time.monotonic() - begun, done.stdout


def found(document):
    """Packages by their URL without what follows `?`, and where each was found. The image itself is none."""
    packages = {}
    for package in json.loads(document)["packages"]:
        for reference in package.get("externalRefs", []):
            if reference["referenceType"] == "purl" and not reference["referenceLocator"].startswith("pkg:oci/"):
                url = urllib.parse.unquote(reference["referenceLocator"].partition("?")[0])
                packages.setdefault(url, package.get("sourceInfo", ""))
    return packages


def kinds(urls):
    counted = collections.Counter(re.match(r"pkg:([^/]*)", url)[1] for url in urls)
    return ", ".join(f"{kind} {count}" for kind, count in sorted(counted.items())) or "none"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--layer", required=True)
    parser.add_argument("--larder", required=True)
    parser.add_argument("--peer", required=True)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--archive")
    options = parser.parse_args()
    archive = options.archive or packed(pathlib.Path(options.layer), "sbom:1")
    names = json.loads(tarfile.open(archive).extractfile("manifest.json").read())[0]["RepoTags"]
    with tempfile.TemporaryDirectory(prefix="larder-bench.") as work:
        work = pathlib.Path(work)
        fresh, kept = work / "fresh", work / "kept"
        larder = [options.larder, "--store"]
        read = ["sbom", names[0]]
        subprocess.run([*larder, kept, "import", archive], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        sides = {
            "larder, archive": [[*larder, str(fresh), "import", archive], [*larder, str(fresh), *read]],
            "larder, store": [[*larder, str(kept), *read]],
            THEIRS: [[options.peer, "scan", "-q", f"docker-archive:{archive}", "-o", "spdx-json"]],
        }
        times, documents = {side: [] for side in sides}, {}
        for _ in range(options.rounds):
            for side, commands in sides.items():
                shutil.rmtree(fresh, ignore_errors=True)
                shutil.rmtree(kept / ".larder/cache", ignore_errors=True)
                took, documents[side] = timed(commands)
                times[side].append(took)
    medians = {side: statistics.median(all_) for side, all_ in times.items()}
    print("| | seconds, median | ratio |\n|---|---|---|")
    for side, median in medians.items():
        print(f"| {side} | {median:.2f} | {median / medians[THEIRS]:.3f} |")
    ours, theirs = found(documents["larder, store"]), found(documents[THEIRS])
    print(f"\nlarder: {kinds(ours)}\nsyft: {kinds(theirs)}")
    for who, some, others in (("larder", ours, theirs), ("syft", theirs, ours)):
        only = sorted(set(some) - set(others))
        print(f"\nonly {who}: {kinds(only)}")
        for url in only[:100]:
            print(f"  {url}  {some[url][:160]}")
    if any(median > 0.3 * medians[THEIRS] for side, median in medians.items() if side != THEIRS):
        sys.exit("sbom: larder takes more than 0.3 of syft's time")


main()
