"""Measures `larder ensure`. Started by benches/ensure, which says how."""

import argparse
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

JOB = ["--project", "p", "--os", "debian:12", "--compiler", "gcc-12", "--package", "cmake"]
NAME = "p-debian-12-gcc12:latest"
BAR = 0.150


def measured(command, environment):
    """Seconds, and what was said on stderr; stdout must be the name."""
    begun = time.perf_counter()
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, env=environment)
    took = time.perf_counter() - begun
    if done.returncode != 0 or done.stdout != f"{NAME}\n":
        sys.exit(f"ensure: {' '.join(map(str, command))}: exit code {done.returncode}\n{done.stdout}{done.stderr}")
    return took, done.stderr


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--larder", required=True)
    parser.add_argument("--debian", required=True)
    parser.add_argument("--rounds", type=int, default=21)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="larder-ensure.") as work:
        work = pathlib.Path(work)
        environment = {**os.environ, "LARDER_STORE": str(work / "store"), "DOCKER_HOST": os.environ["LARDER_TEST_DOCKER20"]}
        do = lambda *command: subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL)
        do("/usr/bin/docker", "import", args.debian, "debian:12")
        do("/usr/bin/docker", "save", "-o", work / "debian.tar", "debian:12")
        do(args.larder, "import", work / "debian.tar")
        first, said = measured([args.larder, "ensure", *JOB, "--to-docker"], environment)
        ran = lambda text: sum("] RUN " in line and not line.endswith("(cached)") for line in text.splitlines())
        print(f"the call that builds: {first:.1f} s, {ran(said)} command run")
        commands = {
            "`ensure`, which finds it": ["ensure", *JOB],
            "`ensure --to-docker`, which finds it there too": ["ensure", *JOB, "--to-docker"],
            "`resolve --strict-packages`": ["resolve", "--strict-packages", *JOB],
        }
        times = {what: [] for what in commands}
        for _ in range(args.rounds):
            for what, command in commands.items():
                took, said = measured([args.larder, *command], environment)
                times[what].append(took)
                if ran(said):
                    sys.exit(f"ensure: {what}: built something\n{said}")
        print("\n| call | median | fastest to slowest |\n|---|---|---|")
        for what, all_of in times.items():
            low, middle, high = (1000 * f(all_of) for f in (min, statistics.median, max))
            print(f"| {what} | {middle:.0f} ms | {low:.0f} to {high:.0f} ms |")
        if statistics.median(times["`ensure`, which finds it"]) > BAR:
            sys.exit(1)


if __name__ == "__main__":
    main()
