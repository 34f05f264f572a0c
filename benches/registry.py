"""Measures pull and push beside skopeo. Started by benches/registry, which says how."""

import argparse
import contextlib
import os
import pathlib
import re
import shutil
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(__file__))
from latency import Latency
from measure import Bench, mib, stored

BARS = {"pull": 1.00, "push": 1.00, "distant": 0.60}
LAYERS, LATENCY, MEMORY = 30, 0.050, 100


class Registry(Bench):
    def __init__(self, options):
        super().__init__(options)
        self.peaks = {"larder": [], "skopeo": []}
        self.count = 0

    @contextlib.contextmanager
    def registry(self, data):
        """The port of a docker-registry over a directory."""
        self.count += 1
        config, log = self.work / f"registry{self.count}.yml", self.work / f"registry{self.count}.log"
        config.write_text(f'version: 0.1\nstorage: {{filesystem: {{rootdirectory: {data}}}}}\nhttp: {{addr: "127.0.0.1:0"}}\nlog: {{accesslog: {{disabled: true}}}}\n')
        with open(log, "wb") as out:
            server = subprocess.Popen(["docker-registry", "serve", str(config)], stdout=out, stderr=out, stdin=subprocess.DEVNULL)
        try:
            while not (said := re.search(r"listening on 127\.0\.0\.1:(\d+)", log.read_text())):
                if server.poll() is not None:
                    sys.exit(f"registry: docker-registry ended:\n{log.read_text()}")
                time.sleep(0.01)
            yield said[1]
        finally:
            server.terminate()
            server.wait()

    def measured(self, who, command, destination):
        seconds, memory, _ = self.timed(command, destination)
        self.peaks[who].append(memory)
        return seconds

    def pulls(self, port, name):
        """Cases for both: into a new store, into a new layout."""
        return {
            "larder": lambda: self.measured("larder", self.larder_in(self.fresh("store"), "pull", f"127.0.0.1:{port}/{name}:1", "--name", "i:1"), self.work),
            "skopeo": lambda: self.measured("skopeo", self.skopeo("copy", "-q", "--src-tls-verify=false", f"docker://127.0.0.1:{port}/{name}:1", f"oci:{self.fresh('layout')}:i:1"), self.work),
        }

    def pushes(self):
        """Of what was pulled, each to a registry that has nothing."""
        def to_new(who, command):
            data = self.fresh(f"data.{who}")
            data.mkdir()
            with self.registry(data) as port:
                return self.measured(who, command(port), data)

        return {
            "larder": lambda: to_new("larder", lambda port: self.larder_in(self.work / "store", "push", "i:1", f"127.0.0.1:{port}/i:1")),
            "skopeo": lambda: to_new("skopeo", lambda port: self.skopeo("copy", "-q", "--preserve-digests", "--dest-tls-verify=false", f"oci:{self.work}/layout:i:1", f"docker://127.0.0.1:{port}/i:1")),
        }

    def pull_and_push(self, data):
        with self.registry(data) as port:
            seconds = self.alternate(self.pulls(port, "large"))
        bytes_of = [stored(self.work / where) for where in ("store", "layout")]
        # A layout gets another manifest than the registry has: skopeo writes it anew.
        if abs(bytes_of[0] - bytes_of[1]) > 4096:
            sys.exit(f"registry: larder has {bytes_of[0]} bytes of blobs, skopeo {bytes_of[1]}")
        what = f"{mib(bytes_of[0])} in {len(list((self.work / 'layout/blobs/sha256').iterdir()))} blobs"
        self.ratio("", f"pull / skopeo copy, {what}", seconds["larder"], seconds["skopeo"], BARS["pull"])
        self.warm(self.work / "store", self.work / "layout")
        seconds = self.alternate(self.pushes())
        self.ratio("", f"push / skopeo copy, {what}", seconds["larder"], seconds["skopeo"], BARS["push"])

    def distant(self, data):
        with self.registry(data) as port, Latency(int(port), LATENCY) as far:
            seconds = self.alternate(self.pulls(far, "many"))
        what = f"pull of {LAYERS} layers at {1000 * LATENCY:.0f} ms / skopeo copy"
        self.ratio("", what, seconds["larder"], seconds["skopeo"], BARS["distant"])
        # Again, with all layers there: what an unchanged tag costs.
        with self.registry(data) as port, Latency(int(port), LATENCY) as far:
            again = [self.quick(self.larder_in(self.work / "store", "pull", f"127.0.0.1:{far}/many:1", "--name", "i:1")) for _ in range(self.rounds)]
        self.row("", "the same again, nothing changed", f"**{1000 * sorted(again)[len(again) // 2]:.0f} ms**")

    def fill(self, data):
        """Two images in a registry, as skopeo and Docker make them: a large one, and one of many layers."""
        context = self.work / "context"
        context.mkdir()
        lines = ["FROM scratch"]
        for number in range(LAYERS):
            (context / f"file{number}").write_bytes(os.urandom(1 << 20))
            lines.append(f"COPY file{number} /")
        (context / "Dockerfile").write_text("\n".join(lines) + "\n")
        docker = self.docker("d20")
        many = self.work / "many.tar"
        self.do([*docker, "build", "-q", "-t", "many:1", str(context)])
        self.do([*docker, "save", "-o", str(many), "many:1"])
        with self.registry(data) as port:
            for name, archive in (("large", self.archive("d20")), ("many", many)):
                self.do(self.skopeo("copy", "-q", "--dest-tls-verify=false", f"docker-archive:{archive}", f"docker://127.0.0.1:{port}/{name}:1"))
        shutil.rmtree(context)
        many.unlink()

    def run(self):
        data = self.work / "data"
        data.mkdir()
        self.fill(data)
        self.warm(data)
        self.pull_and_push(data)
        self.distant(data)
        most = max(self.peaks["larder"])
        self.row("", "peak memory of all", f"**{most:.0f} MiB** (skopeo {max(self.peaks['skopeo']):.0f} MiB)", f"<= {MEMORY} MiB", most <= MEMORY)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--images", required=True)
    parser.add_argument("--larder", required=True)
    options = parser.parse_args()
    options.yardstick = None
    load = os.getloadavg()[0]
    bench = Registry(options)
    bench.run()
    print(f"\n{bench.do(bench.skopeo('--version')).strip()}; load average before {load:.2f}, after {os.getloadavg()[0]:.2f}\n\n| what | figure | bar | |\n|---|---|---|---|")
    for _, what, value, bar, met in bench.rows:
        print(f"| {what} | {value} | {bar or ''} | {'' if met is None else 'met' if met else '**not met**'} |")
    shutil.rmtree(bench.work)
    sys.exit(any(met is False for *_, met in bench.rows))


if __name__ == "__main__":
    main()
