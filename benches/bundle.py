"""Measures bundles; called by benches/bundle, which says what."""

import argparse
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tarfile
import threading
import time

from packed import pack

MIB = 1 << 20
REBUILT = ("gcc", "clang", "python", "jdk", "node")
SAME = ("go", "rust", "qt")


class Bench:
    def __init__(self, options):
        self.larder, self.rounds, self.data = options.larder, options.rounds, pathlib.Path(options.data)
        self.work = self.data / "work"
        shutil.rmtree(self.work, ignore_errors=True)
        self.work.mkdir()
        self.bars = []

    def run(self, *command):
        """What a program prints."""
        done = subprocess.run([str(word) for word in command], stdin=subprocess.DEVNULL, capture_output=True, text=True)
        if done.returncode:
            sys.exit(f"bundle: {' '.join(map(str, command))}: {done.returncode}\n{done.stderr}")
        return done.stdout

    def at(self, store, *words):
        return self.run(self.larder, "--store", store, *words)

    def timed(self, disk, *command):
        """Seconds until all is on the disk, seconds of all cores, and peak memory in MiB."""
        self.run("sync", "-f", disk)
        begun = time.monotonic()
        child = subprocess.Popen([str(word) for word in command], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        told = child.stderr.read()
        _, status, usage = os.wait4(child.pid, 0)
        self.run("sync", "-f", disk)
        if status:
            sys.exit(f"bundle: {' '.join(map(str, command))}: {status}\n{told.decode()}")
        return time.monotonic() - begun, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024

    def bar(self, what, figure, most):
        self.bars.append((what, figure, most))
        print(f"| {what} | {figure:.3f} | {most} |{'' if figure <= most else ' NOT MET'}", flush=True)

    def month(self):
        """The second month, by bytes."""
        out, into, work = self.work / "out", self.work / "in", self.work
        archives = lambda month, names: [self.data / f"{name}-{month}.tar" for name in names]
        january, february = archives("january", REBUILT + SAME), archives("february", REBUILT)
        self.at(out, "import", *january)
        self.at(out, "bundle", "create", "--all", "-o", work / "january")
        self.at(into, "bundle", "apply", work / "january")
        (work / "have.json").write_text(self.at(into, "bundle", "have", "--keep", "45d"))
        self.at(out, "import", "--replace", *february)
        blobs = lambda store: {path.name: path.stat().st_size for path in (store / "blobs/sha256").iterdir()}
        new = {name: size for name, size in blobs(out).items() if name not in blobs(into)}
        layers = sum(size for size in new.values() if size > MIB)
        create = (self.larder, "--store", out, "bundle", "create", "--all", "--have", work / "have.json")
        self.run(*create, "-o", work / "have")
        delta = self.timed(work, *create, "--delta", "-o", work / "delta")
        apply = self.timed(work, self.larder, "--store", into, "bundle", "apply", work / "delta")
        self.at(into, "verify")
        size = lambda name: (work / name).stat().st_size
        plain = sum(path.stat().st_size for path in february)
        whole = sum(path.stat().st_size for path in archives("february", REBUILT) + archives("january", SAME))
        print(f"\n| what travels in the second month | bytes |\n|---|---:|\n| `docker save` of all | {whole} |")
        print(f"| skopeo, an oci-archive of each | {self.skopeo(archives('february', REBUILT) + archives('january', SAME))} |")
        print(f"| `oras backup` of all | {self.oras(out)} |")
        print(f"| larder, all of it | {size('january')} |\n| `--have` | {size('have')} |\n| `--have --delta` | {size('delta')} |\n")
        print(f"making the differences: {delta[0]:.0f} s, {plain / delta[1] / 1e6:.0f} MB/s of plain data a core, {delta[2]:.0f} MiB")
        print(f"applying them: {apply[0]:.0f} s, {plain / apply[0] / 1e6:.0f} MB/s of plain data, {apply[2]:.0f} MiB\n")
        print("| bar | figure | at the most |\n|---|---:|---:|")
        self.bar("--have, of the blobs that are really new", size("have") / sum(new.values()), 1.02)
        self.bar("--delta, of the rebuilt layers' blobs", size("delta") / layers, 0.08)
        self.bar("--delta, 80 MB/s of plain data a core by what it reached", 80e6 / (plain / delta[1]), 1)
        self.bar("apply, 300 MB/s of plain data by what it reached", 300e6 / (plain / apply[0]), 1)

    def skopeo(self, archives):
        """What skopeo would write."""
        root = os.environ["LARDER_TEST_FORKY"]
        libraries = f"{root}/usr/lib/x86_64-linux-gnu"
        skopeo = [f"{libraries}/ld-linux-x86-64.so.2", "--library-path", libraries, f"{root}/usr/bin/skopeo", "--policy", f"{root}/etc/containers/policy.json"]
        total, out = 0, self.work / "skopeo.tar"
        for archive in archives:
            self.run(*skopeo, "copy", f"docker-archive:{archive}", f"oci-archive:{out}")
            total += out.stat().st_size
            out.unlink()
        return total

    def oras(self, store):
        """What `oras backup` writes of the same images in a registry."""
        oras, registry = os.environ["LARDER_TEST_FORKY"] + "/usr/bin/oras", os.environ.get("LARDER_TEST_REGISTRY")
        if not registry or "backup" not in self.run(oras, "--help"):
            return "not measured: this oras has no backup"
        total, out = 0, self.work / "oras.tar"
        for name in REBUILT + SAME:
            place = f"{registry}/bench{os.getpid()}/ci-{name}:latest"
            self.at(store, "push", f"ci-{name}:latest", place)
            self.run(oras, "backup", "--plain-http", "--output", out, place)
            total += out.stat().st_size
            out.unlink()
        return total

    def cost(self):
        """4 GB made and applied, beside cp."""
        image, disk = self.work / "disk.img", self.work / "disk"
        disk.mkdir()
        with open(image, "wb") as file:
            file.truncate(22 << 30)
        self.run("mkfs.ext4", "-q", "-m", "0", image)
        self.run("mount", "-o", "loop", image, disk)
        try:
            self.cost_on(disk)
        finally:
            self.run("umount", disk)

    def cost_on(self, disk):
        noise = self.work / "noise"
        for part in range(4):
            with open(noise, "wb") as tar:
                with tarfile.open(fileobj=tar, mode="w") as layer:
                    info = tarfile.TarInfo("noise")
                    info.size = 1 << 30
                    random = subprocess.Popen(["openssl", "enc", "-aes-128-ctr", "-nosalt", "-pass", f"pass:{part}", "-in", "/dev/zero"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
                    layer.addfile(info, random.stdout)
                    random.kill()
                    random.wait()
            pack(noise, f"noise:{part}", self.work / "noise.tar")
            self.at(disk / "out", "import", self.work / "noise.tar")
        times, memory, extra = {"cp": [], "create": [], "apply": []}, 0, 0
        bundle, copy, into = disk / "bundle", disk / "copy", disk / "in"
        for _ in range(self.rounds):
            for side, command in (
                ("create", (self.larder, "--store", disk / "out", "bundle", "create", "--all", "-o", bundle)),
                ("cp", ("cp", bundle, copy)),
                ("apply", (self.larder, "--store", into, "bundle", "apply", bundle)),
            ):
                if side == "create":
                    bundle.unlink(missing_ok=True)
                with Peak(disk) as peak:
                    seconds, _, peaked = self.timed(disk, *command)
                times[side].append(seconds)
                if side != "cp":
                    memory = max(memory, peaked)
                    extra = max(extra, peak.beyond())
                shutil.rmtree(into, ignore_errors=True)
                copy.unlink(missing_ok=True)
        seconds = {side: statistics.median(all) for side, all in times.items()}
        print(f"\n4 GB, medians of {self.rounds}: " + ", ".join(f"{side} {value:.1f} s" for side, value in seconds.items()) + "\n")
        print("| bar | figure | at the most |\n|---|---:|---:|")
        self.bar("create, of cp and sync", seconds["create"] / seconds["cp"], 1.3)
        self.bar("apply, of cp and sync", seconds["apply"] / seconds["cp"], 1.3)
        self.bar("memory, MiB", memory, 150)
        self.bar("disk beside input and store at its peak, MiB", extra / MIB, 64)


class Peak:
    """How much more a disk had at a time than it has in the end."""

    def __init__(self, disk):
        self.disk, self.most, self.ended = disk, 0, threading.Event()
        self.thread = threading.Thread(target=self.watch)

    def used(self):
        stat = os.statvfs(self.disk)
        return (stat.f_blocks - stat.f_bfree) * stat.f_frsize

    def watch(self):
        while not self.ended.wait(0.02):
            self.most = max(self.most, self.used())

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        self.thread.join()
        self.end = self.used()

    def beyond(self):
        return max(0, self.most - self.end)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--pack", nargs=3)
    parser.add_argument("--data")
    parser.add_argument("--larder")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    if options.pack:
        return pack(*options.pack)
    bench = Bench(options)
    bench.month()
    bench.cost()
    shutil.rmtree(bench.work)
    return 0 if all(figure <= most for _, figure, most in bench.bars) else 1


if __name__ == "__main__":
    sys.exit(main())
