"""Measures larder on a store of many images, and the price of its fsyncs; writes docs/scale.md. Started by benches/scale.

Every comparison is made of rounds (A B C A B C …), so that what else the machine does falls on all sides alike.
"""

import argparse
import os
import pathlib
import re
import shutil
import statistics
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(__file__))
import scale_store
from measure import filesystem, machine, mib

# fsync and its kin are all that a store's promise to survive a power cut costs.
SYNCS = "fsync,fdatasync,syncfs"
TRACED = ["strace", "-f", "--seccomp-bpf", "-qq", "-o", "/dev/null", "-e", f"trace={SYNCS}"]
IMAGE = "capy-debian-12-gcc001:v0"


class Bench:
    def __init__(self, options):
        self.options = options
        self.rounds = options.rounds
        self.larder = options.larder
        self.work = pathlib.Path(options.archives) / "scale"
        self.rows, self.missed = [], []
        shutil.rmtree(self.work, ignore_errors=True)
        self.work.mkdir()

    # --- running ---------------------------------------------------------------------------------------------------

    def larder_in(self, store, *words):
        return [self.larder, "--store", str(store), *map(str, words)]

    def umocis(self):
        """The newest with the loader and the libraries that it was built for, at its own speed; and the distribution's."""
        libraries = f"{self.options.forky}/usr/lib/x86_64-linux-gnu"
        newest = [f"{libraries}/ld-linux-x86-64.so.2", "--library-path", libraries, f"{self.options.forky}/usr/bin/umoci"]
        found = {}
        for command in (newest, ["umoci"]):
            found[re.search(r"version (\S+)", said([*command, "--version"]))[1]] = command
        return found

    def measured(self, command):
        """Seconds, and MiB of the largest resident set."""
        log = self.work / "stderr"
        with open(log, "wb") as err:
            begun = time.perf_counter()
            child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=err)
            _, status, usage = os.wait4(child.pid, 0)
            seconds = time.perf_counter() - begun
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode != 0:
            sys.exit(f"scale: {' '.join(map(str, command))}: exit code {child.returncode}\n{log.read_text()}")
        return seconds, usage.ru_maxrss / 1024

    def alternate(self, cases, rounds=None):
        """Lists of (seconds, MiB) by case; a case is called with the number of its round."""
        results = {name: [] for name in cases}
        for number in range(rounds or self.rounds):
            for name, case in cases.items():
                results[name].append(case(number))
        return results

    # --- reporting -------------------------------------------------------------------------------------------------

    def row(self, table, what, value, bar="", met=None):
        self.rows.append((table, what, value, bar, met))
        if met is False:
            self.missed.append(what)
        print(f"  {what}: {value}   [{bar or '-'}] {({True: 'met', False: 'NOT MET'}).get(met, '')}", flush=True)

    def ratio(self, table, what, ours, theirs, limit=None):
        ours, theirs = seconds(ours), seconds(theirs)
        value = statistics.median(ours) / statistics.median(theirs)
        each = [a / b for a, b in zip(ours, theirs)]
        text = f"**{value:.2f}x** ({min(each):.2f} to {max(each):.2f}): {spread(ours)} / {spread(theirs)}"
        self.row(table, what, text, f"<= {limit:.1f}x" if limit else "", limit and value <= limit)

    # --- what is measured ------------------------------------------------------------------------------------------

    def store(self, images):
        """A store of larder's, its copy for umoci, and what is in them."""
        store, copy = self.work / f"store.{images}", self.work / f"copy.{images}"
        # In a process of its own: the largest resident set of a child begins with its parent's.
        subprocess.run([sys.executable, "-B", scale_store.__file__, self.larder, store, str(images)], check=True)
        subprocess.run(["cp", "-a", store, copy], check=True)
        subprocess.run(["sync", "-f", self.work], check=True)
        index = (store / "index.json").stat().st_size
        count = size = 0
        for blob in os.scandir(store / "blobs/sha256"):
            count, size = count + 1, size + blob.stat().st_size
        about = (f"{images:,} images, {count:,} blobs of {mib(size)}; an entry of the index has {index // images} bytes on average, "
                 f"`index.json` {mib(index)}")
        print(about, flush=True)
        return store, copy, about

    def ours(self, store):
        cases = {
            "gc --dry-run": lambda _: self.measured(self.larder_in(store, "gc", "--dry-run")),
            "images": lambda _: self.measured(self.larder_in(store, "images")),
            "tag": lambda number: self.measured(self.larder_in(store, "tag", IMAGE, f"other:v{number}")),
        }
        if subprocess.run([self.larder, "prune", "--help"], capture_output=True).returncode == 0:
            cases["prune --dry-run"] = lambda _: self.measured(self.larder_in(store, "prune", "--dry-run", "--unused-for", "90d"))
        return cases

    def scale(self):
        """Against umoci, on the store that the bars are for; beside it one of a tenth."""
        images = self.options.images
        store, copy, about = self.store(images)
        cases = self.ours(store)
        peers = self.umocis()
        for version, umoci in peers.items():
            cases |= {
                f"gc {version}": lambda _, umoci=umoci: self.measured([*umoci, "gc", "--layout", copy]),
                f"ls {version}": lambda _, umoci=umoci: self.measured([*umoci, "ls", "--layout", copy]),
                f"tag {version}": lambda number, umoci=umoci: self.measured([*umoci, "tag", "--image", f"{copy}:{IMAGE}", f"other:v{number}"]),
            }
        self.alternate(cases, 1)
        taken = self.alternate(cases)
        newest = next(iter(peers))
        for version in peers:
            bar = lambda limit: limit if version == newest else None
            for ours, theirs, limit in [("gc --dry-run", "gc", 0.8), ("prune --dry-run", "gc", 0.8), ("images", "ls", 2), ("tag", "tag", 1)]:
                if ours in taken:
                    self.ratio("umoci", f"`{ours}` / `umoci {theirs}` {version}", taken[ours], taken[f"{theirs} {version}"], bar(limit))
        own = [case for case in cases if case in self.ours(store)]
        for case in own:
            peak = max(memory for _, memory in taken[case])
            self.row("memory", f"peak memory of `{case}`", f"**{peak:.0f} MiB**", "<= 200 MiB" if images == 10_000 else "", peak <= 200 if images == 10_000 else None)
        small, small_copy, small_about = self.store(images // 10)
        shutil.rmtree(small_copy)
        self.alternate(self.ours(small), 1)
        both = {case: run for case, run in self.ours(store).items()} | {f"{case}, a tenth": run for case, run in self.ours(small).items()}
        compared = self.alternate(both)
        for case in own:
            self.ratio("ten", f"`{case}`, {images:,} images / {images // 10:,}", compared[case], compared[f"{case}, a tenth"])
        shutil.rmtree(self.work)
        self.work.mkdir()
        return [about, small_about]

    def durability(self):
        """The same import with fsyncs and with fsyncs that do nothing; strace stops at the same calls on both sides."""
        fixture = pathlib.Path(__file__).resolve().parent.parent / "fixtures/docker28.tar"
        batch = scale_store.archive(self.work / "batch.tar", range(100))
        for what, path, rounds in [
            ("gcc12, 1 GB in five layers", pathlib.Path(self.options.archives) / "gcc12.d28.tar", self.rounds),
            ("a hundred small images, about a thousand small blobs", batch, self.rounds),
            ("one small image", fixture, 3 * self.rounds),
        ]:
            warm(path)

            # Removed at the end of all rounds: ext4 looks long for inodes that were not freed just now.
            imported = self.work / "imported"
            imported.mkdir()

            def case(number, side, *first):
                subprocess.run(["sync", "-f", self.work], check=True)
                return self.measured([*first, *self.larder_in(imported / f"{side}.{number}", "import", path)])

            taken = self.alternate({
                "with": lambda number: case(number, "with", *TRACED),
                "without": lambda number: case(number, "without", *TRACED, "-e", f"inject={SYNCS}:retval=0"),
                "plain": lambda number: case(number, "plain"),
            }, rounds)
            shutil.rmtree(imported)
            self.ratio("durability", f"import of {what}: with fsync / without", taken["with"], taken["without"])
            self.row("durability", "the same with fsync, without strace", spread(seconds(taken["plain"])))


def said(command):
    return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True).stdout.strip()


def warm(path):
    with open(path, "rb", buffering=0) as stream:
        while stream.read(4 << 20):
            pass


def seconds(results):
    return [taken for taken, _ in results]


def spread(taken):
    return f"{statistics.median(taken):.3f} s [{min(taken):.3f} to {max(taken):.3f}]"


# --- the page --------------------------------------------------------------------------------------------------------

TABLES = {
    "umoci": "Against umoci",
    "memory": "Memory",
    "ten": "Ten times the store",
    "durability": "The price of durability",
}


def page(bench, abouts, versions, load):
    lines = [
        "# Scale, and the price of durability", "",
        "Written by `benches/scale`; do not edit.", "",
        f"- Date: {time.strftime('%Y-%m-%d')}; load average before and after: {load[0]}, {load[1]}",
        f"- Machine: {machine()}; {filesystem(bench.work)}",
        f"- Versions: {versions}",
        *[f"- {'The store' if at == 0 else 'A tenth of it'}: {about}" for at, about in enumerate(abouts)],
        f"- {bench.rounds} rounds, every side once in each; a ratio is one of medians, in brackets the smallest and largest ratio of one"
        " round; then median [smallest to largest] of either side.", "",
    ]
    for table, title in TABLES.items():
        lines += [f"## {title}", "", "| what | figure | bar | |", "|---|---|---|---|"]
        lines += [f"| {what} | {value} | {bar} | {'' if met is None else 'met' if met else '**not met**'} |" for at, what, value, bar, met in bench.rows if at == table]
        lines.append("")
    return "\n".join(lines)


def main():
    steps = ["scale", "durability"]
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--images", type=int, default=10_000, help="in the store; a second one has a tenth")
    parser.add_argument("--rounds", type=int, default=7, help="of every comparison; less than 5 is for trying only")
    parser.add_argument("--only", default=None, help=f"some of: {', '.join(steps)}")
    for needed in ("archives", "forky", "larder", "page"):
        parser.add_argument(f"--{needed}", required=True, help=argparse.SUPPRESS)
    options = parser.parse_args()
    whole = options.only is None and options.images == 10_000 and options.rounds >= 5
    chosen = options.only.split(",") if options.only else steps if options.images == 10_000 else ["scale"]
    if unknown := [step for step in chosen if step not in steps]:
        parser.error(f"there is no {', '.join(unknown)}")
    bench = Bench(options)
    load = [f"{os.getloadavg()[0]:.2f}"]
    commit = said(["git", "-C", os.path.dirname(os.path.abspath(__file__)), "rev-parse", "--short", "HEAD"])
    versions = f"{said([bench.larder, '--version'])} ({commit}), umoci {' and '.join(bench.umocis())}"
    print(versions, f"load {load[0]}", flush=True)
    abouts = bench.scale() if "scale" in chosen else []
    if "durability" in chosen:
        bench.durability()
    load.append(f"{os.getloadavg()[0]:.2f}")
    if whole:
        notes = pathlib.Path(__file__).with_name("scale-notes.md").read_text()
        pathlib.Path(options.page).write_text(page(bench, abouts, versions, load) + "\n" + notes)
        print(f"written: {options.page}")
    shutil.rmtree(bench.work)
    if bench.missed:
        print(f"NOT MET: {len(bench.missed)}\n  " + "\n  ".join(bench.missed))


if __name__ == "__main__":
    main()
