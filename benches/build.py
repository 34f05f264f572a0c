"""Measures builds beside Docker's and buildah's. Started by benches/build, which says how."""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import threading
import time

BASE = "capy-debian-12-gcc12:latest"
# Each command says on a line of its own how long it took, in nanoseconds.
CLOCKED = "RUN b=$(date +%s%N); {command}; echo took $(($(date +%s%N) - b))\n"
DOCKERFILE = "".join([
    "FROM {base}\n",
    "ARG ROUND\n",
    "ENV LANG=C.UTF-8\n",
    CLOCKED.format(command="mkdir -p /opt/tool && cp -r /usr/share/doc /opt/tool"),
    "WORKDIR /srv/app\n",
    "COPY tree .\n",
    CLOCKED.format(command="echo $ROUND > /etc/round; for n in $(seq 200); do echo $n > /srv/app/made-$n; done"),
    CLOCKED.format(command="mv /srv/app/dir1 /srv/app/moved && rm -rf /opt/tool/doc/git"),
    'LABEL a="b"\n',
    'CMD ["true"]\n',
])


def do(command, **more):
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **more)
    if done.returncode != 0:
        sys.exit(f"build: {' '.join(map(str, command))}: exit code {done.returncode}\n{done.stdout}")
    return done.stdout


def timed(command, **more):
    """Seconds of all, and of the commands inside."""
    os.sync()
    begun = time.perf_counter()
    output = do(command, **more)
    wall = time.perf_counter() - begun
    took = [int(line.split()[1]) for line in output.splitlines() if line.startswith("took ") and line.split()[1].isdigit()]
    return wall, sum(took) / 1e9, len(took)


def context(path):
    """2,000 small files, and one of 20 MB."""
    for number in range(20):
        directory = path / "tree" / f"dir{number}"
        directory.mkdir(parents=True)
        for name in range(100):
            (directory / f"file{name}").write_text(f"{number} {name}\n" * 50)
    (path / "tree/large").write_bytes(os.urandom(20 << 20))
    (path / "Dockerfile").write_text(DOCKERFILE.replace("{base}", BASE))
    return path


def allocated(path):
    return int(do(["du", "-s", "-B1", str(path)]).split()[0])


class Peak:
    """The largest size of a directory while something runs."""

    def __init__(self, path):
        self.path, self.largest, self.stopped = path, 0, threading.Event()

    def __enter__(self):
        self.thread = threading.Thread(target=self.look)
        self.thread.start()
        return self

    def look(self):
        while not self.stopped.wait(0.2):
            done = subprocess.run(["du", "-s", "-B1", str(self.path)], capture_output=True, text=True)
            if done.stdout.split():
                self.largest = max(self.largest, int(done.stdout.split()[0]))

    def __exit__(self, *_):
        self.stopped.set()
        self.thread.join()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--archive", type=pathlib.Path, required=True)
    parser.add_argument("--larder", required=True)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    missed = []
    with tempfile.TemporaryDirectory(dir=options.archive.parent, prefix="build.") as work:
        work = pathlib.Path(work)
        try:
            missed = measure(options, work)
        finally:
            # buildah leaves its directory mounted on itself.
            subprocess.run(["umount", "-l", str(work / "containers/overlay")], stderr=subprocess.DEVNULL)
    sys.exit(1 if missed else 0)


def measure(options, work):
    files = context(work / "context")
    store, vault = work / "store", work / "containers"
    larder = [options.larder, "--store", str(store)]
    docker = ["docker", "-H", os.environ["LARDER_TEST_DOCKER20"]]
    buildah = ["buildah", "--root", str(vault), "--runroot", str(work / "run"), "--storage-driver", "overlay"]
    do([*larder, "import", str(options.archive)])
    do([*docker, "load", "-q", "-i", str(options.archive)])
    do([*buildah, "pull", "-q", f"docker-archive:{options.archive}"])
    local = next(line.split()[0] for line in do([*buildah, "images", "--format", "{{.Name}}:{{.Tag}}"]).splitlines())
    theirs = work / "buildah.Dockerfile"
    theirs.write_text(DOCKERFILE.replace("{base}", local))
    plain = dict(os.environ, DOCKER_BUILDKIT="0")

    def command(name, number):
        arg = ["--build-arg", f"ROUND={number}"]
        return {
            "larder": [*larder, "build", *arg, "-t", "made:1", str(files)],
            "docker": [*docker, "build", "--network=host", *arg, "-t", "made:1", str(files)],
            "buildah": [*buildah, "bud", "--layers", "--network=host", "--isolation=oci", "--runtime=runc",
                    "--ulimit=nofile=1024", "--ulimit=nproc=1024", *arg, "-t", "made:1", "-f", str(theirs), str(files)],
        }[name]

    with Peak(store) as peak:
        before = allocated(store)
        do(command("larder", "first"))
    after = allocated(store)
    unpacked = allocated(store / ".larder/snapshots")
    layers = {name: json.loads(do([*larder, "inspect", name, "--format", "json"]))[0]["layers"] for name in (BASE, "made:1")}
    added = sum(layer["stored_size"] for layer in layers["made:1"][len(layers[BASE]):])
    do(command("docker", "first"), env=plain)
    do(command("buildah", "first"))
    outside = {name: [] for name in ("larder", "docker", "buildah")}
    again = {name: [] for name in outside}
    for number in range(options.rounds):
        for name in outside:
            more = {"env": plain} if name == "docker" else {}
            # The first command does not see the argument in its words, but its key has it in all three.
            wall, inside, count = timed(command(name, number), **more)
            assert count == 3, (name, count)
            outside[name].append(wall - inside)
            wall, _, count = timed(command(name, number), **more)
            assert count == 0 or name == "docker", (name, count)
            again[name].append(wall)
    median = {name: statistics.median(times) for name, times in outside.items()}
    known = {name: statistics.median(times) for name, times in again.items()}
    missed = []

    def row(what, value, limit=None):
        met = limit is None or value <= limit
        print(f"{what:58} {value:8.3f}" + (f"  bar {limit}  {'met' if met else 'NOT MET'}" if limit else ""))
        if not met:
            missed.append(what)

    def spread(times):
        return f"{statistics.median(times):.3f} s [{min(times):.3f} to {max(times):.3f}]"

    print(f"{options.rounds} rounds, load {os.getloadavg()[0]:.1f}")
    for name in outside:
        print(f"  {name:8} outside of RUN {spread(outside[name])}, all known {spread(again[name])}")
    row("outside of RUN, larder / buildah bud", median["larder"] / median["buildah"], 0.5)
    row("outside of RUN, larder / docker build 20.10", median["larder"] / median["docker"], 0.8)
    row("all known, ms", 1000 * known["larder"], 100)
    row("all known, larder / buildah bud", known["larder"] / known["buildah"], 0.8)
    # The plain image: what unpacking all its layers takes.
    row("disk at the peak of the first build less the store before, of the plain image", (peak.largest - before) / unpacked, 1.5)
    rest = after - before - unpacked
    row("at rest without snapshots, of the bytes of the new layers", rest / added, 1.05)
    print(f"at rest {rest / 1e6:.1f} MB more than before the first build, with snapshots {(after - before) / 1e6:.1f} MB")
    return missed


main()
