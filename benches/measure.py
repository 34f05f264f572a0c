"""Measures larder against the newest peers and writes docs/benchmarks.md. Started by benches/run, which says how.

Every comparison is made of rounds (A B C A B C …), so that what else the machine does falls on all sides alike. A
measured time begins before the program starts and ends after `sync -f` of its destination; the file system is synced
before, unmeasured. Inputs are in the page cache. Destinations are new each time.
"""

import argparse
import json
import os
import pathlib
import platform
import re
import shutil
import statistics
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(__file__))
from proxy import CountingProxy

IMAGE = "capy-debian-12-gcc12"
SIBLING = "capy-debian-12-gcc12-llvm"
SAVES = {"d20": "Docker 20.10", "d28": "Docker 28.5, graph driver", "d28c": "Docker 28.5, containerd store"}


class Bench:
    def __init__(self, options):
        self.rounds = options.rounds
        self.images = pathlib.Path(options.images)
        self.larder = options.larder
        self.yardstick = options.yardstick
        self.work = self.images / "work"
        self.engines = {
            "d20": os.environ.get("LARDER_TEST_DOCKER20"),
            "d28": os.environ.get("LARDER_TEST_DOCKER28"),
            "d28c": os.environ.get("LARDER_TEST_DOCKER28C"),
        }
        self.rows = []
        self.notes = []
        shutil.rmtree(self.work, ignore_errors=True)
        self.work.mkdir()

    # --- running ---------------------------------------------------------------------------------------------------

    def env(self, **more):
        keep = {key: os.environ[key] for key in ("PATH", "HOME") if key in os.environ}
        return {**keep, **more}

    def larder_in(self, store, *words):
        return [self.larder, "--store", str(store), *map(str, words)]

    def skopeo(self, *words):
        """The newest skopeo, at its own speed: no chroot and no overlay, only the loader and libraries that it was built for."""
        root = os.environ["LARDER_TEST_FORKY"]
        libraries = f"{root}/usr/lib/x86_64-linux-gnu"
        loader = f"{libraries}/ld-linux-x86-64.so.2"
        return [loader, "--library-path", libraries, f"{root}/usr/bin/skopeo", "--policy", f"{root}/etc/containers/policy.json", *map(str, words)]

    def do(self, command, **more):
        """Runs what is not measured; its stdout."""
        done = subprocess.run(command, env=self.env(**more), stdin=subprocess.DEVNULL, capture_output=True, text=True)
        if done.returncode != 0:
            sys.exit(f"measure: {' '.join(map(str, command))}: exit code {done.returncode}\n{done.stderr}")
        return done.stdout

    def sync(self, path):
        subprocess.run(["sync", "-f", str(path)], check=True)

    def timed(self, command, destination, stdin=None, **more):
        """Seconds until `sync -f` of the destination is done, the peak memory in MiB, and the seconds of all cores."""
        self.sync(destination)
        log = self.work / "stderr"
        with open(log, "wb") as err:
            begun = time.perf_counter()
            child = subprocess.Popen(command, env=self.env(**more), stdin=stdin or subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=err)
            _, status, usage = os.wait4(child.pid, 0)
            self.sync(destination)
            seconds = time.perf_counter() - begun
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode != 0:
            sys.exit(f"measure: {' '.join(map(str, command))}: exit code {child.returncode}\n{log.read_text()}")
        return seconds, usage.ru_maxrss / 1024, usage.ru_utime + usage.ru_stime

    def quick(self, command, **more):
        """Seconds of something that writes next to nothing."""
        begun = time.perf_counter()
        subprocess.run(command, env=self.env(**more), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
        return time.perf_counter() - begun

    def alternate(self, cases, rounds=None):
        """Medians need at least five; the order is the same in every round."""
        seconds = {name: [] for name in cases}
        for _ in range(rounds or self.rounds):
            for name, case in cases.items():
                seconds[name].append(case())
        return seconds

    def fresh(self, name):
        path = self.work / name
        if path.is_dir():
            shutil.rmtree(path)
        elif path.exists():
            path.unlink()
        return path

    def warm(self, *paths):
        for path in paths:
            for file in [path] if path.is_file() else [p for p in path.rglob("*") if p.is_file()]:
                with open(file, "rb", buffering=0) as stream:
                    while stream.read(4 << 20):
                        pass

    # --- reporting -------------------------------------------------------------------------------------------------

    def row(self, save, what, value, bar=None, met=None):
        self.rows.append((save, what, value, bar, met))
        mark = {True: "met", False: "NOT MET", None: ""}[met]
        print(f"  {save:5} {what}: {value}   [{bar or '-'}] {mark}", flush=True)

    def ratio(self, save, what, ours, theirs, limit=None):
        """The ratio of medians; beside it the smallest and largest ratio of one round, which say how far it can be trusted."""
        value = statistics.median(ours) / statistics.median(theirs)
        each = [a / b for a, b in zip(ours, theirs)]
        text = f"**{value:.3f}x** ({min(each):.3f} to {max(each):.3f}): {spread(ours)} / {spread(theirs)}"
        self.row(save, what, text, limit and f"<= {limit:.2f}x", limit and value <= limit)
        return value

    # --- what is measured ------------------------------------------------------------------------------------------

    def archive(self, save, image="gcc12"):
        return self.images / f"{image}.{save}.tar"

    def stores(self, save):
        """A store with the image in it, imported from that save."""
        store = self.work / f"store.{save}"
        if not store.exists():
            self.do(self.larder_in(store, "import", self.archive(save)))
            self.warm(store)
        return store

    def cold_import(self, save):
        archive = self.archive(save)
        self.warm(archive)
        peak, cores = [], {"larder": [], "yardstick": [], "zstd": [], "gzip": []}

        def case(name, command):
            seconds, memory, busy = self.timed(command, self.work)
            cores[name].append(busy)
            if name == "larder":
                peak.append(memory)
            return seconds

        def larder():
            return case("larder", self.larder_in(self.fresh("cold.larder"), "import", archive))

        def yardstick():
            directory = self.fresh("cold.yardstick")
            directory.mkdir()
            return case("yardstick", [self.yardstick, str(archive), str(directory)])

        def skopeo(name, *how):
            target = self.fresh(f"cold.{name}")
            return case(name, self.skopeo("copy", "-q", *how, f"docker-archive:{archive}", f"oci:{target}:{IMAGE}"))

        seconds = self.alternate({
            "larder": larder,
            "yardstick": yardstick,
            "zstd": lambda: skopeo("zstd", "--dest-compress-format", "zstd"),
            "gzip": lambda: skopeo("gzip"),
        })
        self.ratio(save, "cold import / skopeo, gzip", seconds["larder"], seconds["gzip"], 0.40)
        self.ratio(save, "cold import / skopeo, zstd", seconds["larder"], seconds["zstd"], 0.80)
        self.ratio(save, "cold import / yardstick", seconds["larder"], seconds["yardstick"], 1.25)
        busy = {name: statistics.median(seconds) for name, seconds in cores.items()}
        text = ", ".join(f"{name} {seconds:.2f} s" for name, seconds in busy.items())
        self.row(save, "processor time of the four (what a busy machine does not change much)", text)
        ours, theirs = stored(self.work / "cold.larder"), stored(self.work / "cold.zstd")
        self.row(save, "stored bytes / skopeo, zstd", f"**{ours / theirs:.4f}x**: {mib(ours)} / {mib(theirs)}", "<= 1.01x", ours <= 1.01 * theirs)
        self.row(save, "peak memory of import, file", f"**{max(peak):.0f} MiB**", "<= 100 MiB", max(peak) <= 100)

        def again():
            return self.timed(self.larder_in(self.work / "cold.larder", "import", archive), self.work)[0]

        self.ratio(save, "import again / cold import", [again() for _ in range(self.rounds)], seconds["larder"], 0.02)
        self.piped(save, archive, seconds["larder"])

    def piped(self, save, archive, cold):
        seconds, peak = [], []
        for _ in range(self.rounds):
            with subprocess.Popen(["cat", str(archive)], stdout=subprocess.PIPE) as cat:
                taken, memory, _ = self.timed(self.larder_in(self.fresh("cold.pipe"), "import", "-"), self.work, stdin=cat.stdout)
            seconds.append(taken)
            peak.append(memory)
        self.ratio(save, "cold import from a pipe / from the file", seconds, cold)
        self.row(save, "peak memory of import, pipe", f"**{max(peak):.0f} MiB**", "<= 100 MiB", max(peak) <= 100)
        self.fresh("cold.pipe")

    def sibling(self, save):
        """A store that has the image gets its sibling: the work should be the new layer's, and nothing else."""
        first, second = self.archive(save), self.archive(save, "sibling")
        self.warm(first, second)
        have, new = layers(first), layers(second)
        fresh = sum(size for diff_id, size in new.items() if diff_id not in have)
        everything = sum(new.values())
        share = fresh / everything

        def prepared():
            # Not a copy of a store: larder trusts no cache that it finds in another place than it made it.
            store = self.fresh("sibling")
            self.do(self.larder_in(store, "import", first))
            return store

        def beside():
            return self.timed(self.larder_in(prepared(), "import", second), self.work)[0]

        def alone():
            return self.timed(self.larder_in(self.fresh("sibling"), "import", second), self.work)[0]

        seconds = self.alternate({"beside": beside, "alone": alone})
        value = statistics.median(seconds["beside"]) / statistics.median(seconds["alone"])
        text = f"**{value:.3f}x** of its cold import, its new layer is {share:.3f}x of it: {spread(seconds['beside'])} / {spread(seconds['alone'])}"
        self.row(save, "sibling on the same base: time", text, "follows the new layer (<= 1.15x)", value <= 1.15 * share)
        read, mapped = self.bytes_read(self.larder_in(prepared(), "import", second), second)
        text = f"**{mib(read)}** (system calls counted by strace), the new layer has {mib(fresh)}, the archive {mib(second.stat().st_size)}"
        self.row(save, "sibling on the same base: bytes read", text, "follows the new layer (<= 1.01x)", read <= 1.01 * fresh and not mapped)

    def bytes_read(self, command, archive):
        trace = self.work / "trace"
        calls = "read,pread64,readv,preadv,preadv2,sendfile,splice,copy_file_range,mmap"
        self.do(["strace", "-f", "-y", "-o", str(trace), "-e", f"trace={calls}", *command])
        total, mapped, unfinished = 0, False, {}
        for line in trace.read_text(errors="replace").splitlines():
            pid = line.split(None, 1)[0]
            if "<unfinished ...>" in line:
                unfinished[pid] = line
                continue
            if "resumed>" in line:
                line = unfinished.pop(pid, "") + line
            if f"<{archive}>" not in line:
                continue
            if "mmap(" in line:
                mapped = True
            if result := re.search(r"= (\d+)\s*$", line):
                total += int(result[1])
        return total, mapped

    def export(self, save):
        store = self.stores(save)
        skopeos = self.fresh("export.layout")
        self.do(self.skopeo("copy", "-q", f"docker-archive:{self.archive(save)}", f"oci:{skopeos}:{IMAGE}"))
        self.warm(skopeos)
        peak = []
        plain_peak = []

        def ours(into, peaks, *how):
            def case():
                seconds, memory, _ = self.timed(self.larder_in(store, "export", IMAGE, "-o", self.fresh(into), *how), self.work)
                peaks.append(memory)
                return seconds
            return case

        def theirs(layout, name):
            target = lambda: f"docker-archive:{self.fresh('export.skopeo')}:{IMAGE}:latest"
            return lambda: self.timed(self.skopeo("copy", "-q", f"oci:{layout}:{name}", target()), self.work)[0]

        def cp(source):
            return lambda: self.timed(["cp", str(self.work / source), str(self.fresh("export.cp"))], self.work)[0]

        seconds = self.alternate({
            "stored": ours("export.stored", peak),
            "cp stored": cp("export.stored"),
            "plain": ours("export.plain", plain_peak, "--layers", "plain"),
            "cp plain": cp("export.plain"),
            "skopeo": theirs(store, f"{IMAGE}:latest"),
            "skopeo gzip": theirs(skopeos, IMAGE),
        })
        self.ratio(save, "export / skopeo, same store (zstd)", seconds["stored"], seconds["skopeo"], 0.25)
        self.ratio(save, "export / skopeo, its own layout (gzip)", seconds["stored"], seconds["skopeo gzip"], 0.25)
        self.ratio(save, "export / cp of the result", seconds["stored"], seconds["cp stored"], 1.5)
        self.ratio(save, "export --layers plain / skopeo, same store (zstd)", seconds["plain"], seconds["skopeo"])
        self.ratio(save, "export --layers plain / cp of the result", seconds["plain"], seconds["cp plain"])
        most = max(peak + plain_peak)
        self.row(save, "peak memory of export", f"**{max(peak):.0f} MiB** stored, **{max(plain_peak):.0f} MiB** plain", "<= 100 MiB", most <= 100)
        for name in ("export.stored", "export.cp", "export.plain", "export.skopeo", "export.layout"):
            self.fresh(name)

    # --- hand-over ---------------------------------------------------------------------------------------------------

    def docker(self, save, *words):
        return ["docker", "-H", self.engines[save], *map(str, words)]

    def empty(self, save):
        self.do(self.docker(save, "image", "prune", "-af"))
        if self.do(self.docker(save, "images", "-aq")).strip():
            sys.exit(f"measure: {SAVES[save]} could not be emptied")

    def to_docker(self, save, name=IMAGE):
        return self.larder_in(self.stores(save), "export", "--to-docker", name)

    def hand_over_cold(self, save):
        """Against `docker load` of files that are ready: our own export in the form that this engine gets, and its own save."""
        store, ready, original = self.stores(save), self.fresh("ready.tar"), self.archive(save)
        form = {"d20": ["--archive", "docker", "--layers", "plain"], "d28": ["--archive", "docker"], "d28c": ["--archive", "hybrid"]}[save]
        self.do(self.larder_in(store, "export", IMAGE, "-o", ready, *form))
        self.warm(ready, original, store)
        peak = []

        def larder():
            self.empty(save)
            seconds, memory, _ = self.timed(self.to_docker(save), self.work, DOCKER_HOST=self.engines[save])
            peak.append(memory)
            return seconds

        def load(file):
            self.empty(save)
            return self.timed(self.docker(save, "load", "-q", "-i", file), self.work)[0]

        seconds = self.alternate({"larder": larder, "ready": lambda: load(ready), "original": lambda: load(original)})
        self.ratio(save, f"cold hand-over / docker load of {' '.join(['export', *form])}", seconds["larder"], seconds["ready"], 1.05)
        self.ratio(save, "cold hand-over / docker load of the docker save file", seconds["larder"], seconds["original"], 1.05)
        self.row(save, "peak memory of the hand-over", f"**{max(peak):.0f} MiB**", "<= 100 MiB", max(peak) <= 100)
        self.fresh("ready.tar")

    def hand_over_present(self, save):
        self.do(self.to_docker(save), DOCKER_HOST=self.engines[save])
        taken = [1000 * self.quick(self.to_docker(save), DOCKER_HOST=self.engines[save]) for _ in range(max(11, self.rounds))]
        text = f"**{statistics.median(taken):.1f} ms** ({min(taken):.1f} to {max(taken):.1f})"
        self.row(save, "hand-over of a present image", text, "<= 50 ms", statistics.median(taken) <= 50)

    def hand_over_base_present(self, save):
        """The engine has the sibling; what goes over its socket is counted by a proxy in front of it."""
        store = self.fresh("base")
        self.do(self.larder_in(store, "import", self.archive(save), self.archive(save, "sibling")))
        here, there = layers(self.archive(save)), layers(self.archive(save, "sibling"))
        missing = [diff_id for diff_id in here if diff_id not in there]
        inspected = json.loads(self.do(self.larder_in(store, "inspect", IMAGE, "--format", "json")))
        blobs = {layer["diff_id"]: layer for layer in find_layers(inspected)}
        plain = sum(here[diff_id] for diff_id in missing)
        sized = plain if save == "d20" else sum(blobs[diff_id]["stored_size"] for diff_id in missing)
        results = []
        for _ in range(self.rounds):
            self.empty(save)
            self.do(self.larder_in(store, "export", "--to-docker", SIBLING), DOCKER_HOST=self.engines[save])
            with CountingProxy(self.engines[save], self.work / "proxy.sock") as proxy:
                begun = time.perf_counter()
                said = json.loads(self.do(self.larder_in(store, "export", "--to-docker", IMAGE, "--format", "json"), DOCKER_HOST=proxy.host))
                self.sync(self.work)
                results.append((proxy.sent, said[0]["sent_bytes"], time.perf_counter() - begun))
        sent, claimed = max(results)[:2]
        text = (f"**{mib(sent)}** counted on the socket (larder says {mib(claimed)}), the missing layer has {mib(sized)} in that form; "
                f"{spread([seconds for *_, seconds in results])}")
        self.row(save, "hand-over with the base present: bytes sent", text, "only the missing layers (<= 1.01x)", sent <= 1.01 * sized)
        ran = self.do(self.docker(save, "run", "--rm", "--network=host", IMAGE, "g++-12", "-dumpversion")).strip()
        if not ran.startswith("12"):
            sys.exit(f"measure: the image that was handed over says {ran!r}")
        self.empty(save)
        self.fresh("base")

    # --- the program itself ------------------------------------------------------------------------------------------

    def program(self):
        store = self.work / "small"
        fixtures = pathlib.Path(__file__).resolve().parent.parent / "fixtures"
        for archive in sorted(fixtures.glob("docker20*.tar")):
            name = ["--name", "untagged"] if "untagged" in archive.name else []
            self.do(self.larder_in(store, "import", archive, *name))
        taken = [1000 * self.quick(self.larder_in(store, "images")) for _ in range(31)]
        text = f"**{statistics.median(taken):.1f} ms** ({min(taken):.1f} to {max(taken):.1f})"
        self.row("", "larder images, small store", text, "<= 15 ms", statistics.median(taken) <= 15)
        needed = sorted(set(re.findall(r"(\S+\.so[.\d]*)", self.do(["ldd", self.larder]))))
        names = sorted({pathlib.Path(path).name for path in needed})
        libc = {"linux-vdso.so.1", "libc.so.6", "libm.so.6", "ld-linux-x86-64.so.2", "libpthread.so.0", "libdl.so.2", "librt.so.1"}
        size = pathlib.Path(self.larder).stat().st_size
        self.row("", "the release binary needs", f"{', '.join(names)}; it has {mib(size)}", "nothing but libc", set(names) <= libc)


def find_layers(inspected):
    """The layers in what `larder inspect --format json` says, wherever they are in it."""
    if isinstance(inspected, dict):
        if isinstance(inspected.get("layers"), list) and inspected["layers"] and isinstance(inspected["layers"][0], dict) and "diff_id" in inspected["layers"][0]:
            return inspected["layers"]
        inspected = list(inspected.values())
    if isinstance(inspected, list):
        for value in inspected:
            if found := find_layers(value):
                return found
    return []


def layers(archive):
    """Diff ID to plain size, of the first image of a docker-archive."""
    import tarfile
    with tarfile.open(archive) as tar:
        manifest = json.load(tar.extractfile("manifest.json"))[0]
        config = json.load(tar.extractfile(manifest["Config"]))
        sizes = [tar.extractfile(path).seek(0, os.SEEK_END) for path in manifest["Layers"]]
    return dict(zip(config["rootfs"]["diff_ids"], sizes))


def stored(layout):
    return sum(path.stat().st_size for path in (layout / "blobs").rglob("*") if path.is_file())


def mib(count):
    return f"{count / (1 << 20):.1f} MiB" if count >= 1 << 20 else f"{count / 1024:.1f} KiB"


def spread(seconds):
    return f"{statistics.median(seconds):.3f} s [{min(seconds):.3f} to {max(seconds):.3f}]"


# --- the page --------------------------------------------------------------------------------------------------------

def machine():
    cpu = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), "unknown")
    flags = next((line for line in open("/proc/cpuinfo") if line.startswith("flags")), "")
    memory = int(re.search(r"MemTotal:\s+(\d+)", open("/proc/meminfo").read())[1]) // (1 << 20)
    sha = "SHA-NI" if "sha_ni" in flags else "no SHA-NI"
    return f"{len(os.sched_getaffinity(0))} cores ({cpu}, {sha}), {memory} GiB, Linux {platform.release()}"


def page(bench, measured, load):
    images = {save: bench.archive(save) for save in SAVES}
    sizes = layers(images["d20"])
    lines = [
        "# Benchmarks", "",
        "Written by `benches/run`; do not edit.", "",
        f"- Date: {time.strftime('%Y-%m-%d')}; load average before and after: {load[0]}, {load[1]}",
        f"- Machine: {machine()}; {filesystem(bench.work)}",
        f"- Versions: {measured}",
        f"- Image: `{IMAGE}` (Debian bookworm with g++-12, cmake, ninja, git, gdb and more): {images['d20'].stat().st_size / 1e6:.0f} MB docker-archive,"
        f" {len(sizes)} layers of {', '.join(f'{size / 1e6:.0f}' for size in sizes.values())} MB. Its sibling has another last layer"
        f" of {list(layers(bench.archive('d20', 'sibling')).values())[-1] / 1e6:.0f} MB.",
        f"- {bench.rounds} rounds, every side once in each; a ratio is one of medians, in brackets the smallest and largest ratio of one"
        " round; then median [smallest to largest] of either side.", "",
    ]
    for save in [*SAVES, ""]:
        rows = [row for row in bench.rows if row[0] == save]
        if not rows:
            continue
        lines += [f"## {'The archive of, and the hand-over to, ' + SAVES[save] if save else 'The program'}", "", "| what | figure | bar | |", "|---|---|---|---|"]
        lines += [f"| {what} | {value} | {bar or ''} | {'' if met is None else 'met' if met else '**not met**'} |" for _, what, value, bar, met in rows]
        lines.append("")
    lines += [
        "## How it is measured", "",
        "`benches/run` does it all, as root on Debian: it installs and starts the peers (`tests/peers`), makes the images once (`benches/image`,",
        "about 7 GB in `$LARDER_BENCH`, else in the user's cache directory), builds larder and the yardstick, and writes this page.",
        "`benches/run --only cold_import,export --saves d20 --rounds 7` measures a part and prints it, and leaves this page alone.", "",
        "- A time begins before the program starts and ends after `sync -f` of its destination, on all sides; a sync that is not measured goes",
        "  before. Inputs are in the page cache, stores, layouts and files are new each time, engines are emptied.",
        "- skopeo is the newest one's binary with its own loader and libraries, without chroot or overlay: it runs at its full speed.",
        "- The yardstick (`benches/yardstick.rs`) hashes, compresses with the same frames on all cores, writes and syncs, and knows nothing else.",
        "- `docker load` is given files that are ready: larder's own export in the form that this engine gets, and what its `docker save` wrote.",
        "- Bytes on the socket are counted by a proxy before the engine (`benches/proxy.py`), bytes read by strace.",
        "- Peak memory is the largest resident set of all runs, from wait4.", "",
    ]
    return "\n".join(lines)


def filesystem(path):
    kind = subprocess.run(["stat", "-f", "-c", "%T", str(path)], capture_output=True, text=True).stdout.strip()
    return kind.replace("ext2/ext3", "ext4")


def versions(bench):
    skopeo = bench.do(bench.skopeo("--version")).strip().removeprefix("skopeo version ")
    engines = [bench.do(bench.docker(save, "version", "-f", "{{.Server.Version}}")).strip() for save in SAVES if bench.engines[save]]
    commit = subprocess.run(["git", "-C", os.path.dirname(os.path.abspath(__file__)), "rev-parse", "--short", "HEAD"], capture_output=True, text=True).stdout.strip()
    changed = subprocess.run(["git", "-C", os.path.dirname(os.path.abspath(__file__)), "diff", "--quiet", "HEAD", "--", "../src", "../store/src", "../Cargo.lock"]).returncode != 0
    return f"{bench.do([bench.larder, '--version']).strip()} ({commit}{', with changes' if changed else ''}), skopeo {skopeo}, Docker {', '.join(engines)}"


def main():
    steps = ["cold_import", "sibling", "export", "hand_over_cold", "hand_over_present", "hand_over_base_present"]
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="of every comparison; less than 5 is for trying only")
    parser.add_argument("--only", default=None, help=f"some of: {', '.join(steps)}, program")
    parser.add_argument("--saves", default=",".join(SAVES), help="whose archives and engines")
    for needed in ("images", "larder", "yardstick", "page"):
        parser.add_argument(f"--{needed}", required=True, help=argparse.SUPPRESS)
    options = parser.parse_args()
    chosen = options.only.split(",") if options.only else [*steps, "program"]
    unknown = [name for name in chosen if name not in [*steps, "program"]] + [save for save in options.saves.split(",") if save not in SAVES]
    if unknown:
        parser.error(f"there is no {', '.join(unknown)}")
    bench = Bench(options)
    load = [f"{os.getloadavg()[0]:.2f}"]
    measured = versions(bench)
    print(measured, f"load {load[0]}", flush=True)
    for save in options.saves.split(","):
        print(SAVES[save], flush=True)
        for step in steps:
            if step in chosen:
                getattr(bench, step)(save)
        for left in bench.work.iterdir():
            bench.fresh(left.name)
    if "program" in chosen:
        bench.program()
    load.append(f"{os.getloadavg()[0]:.2f}")
    whole = options.only is None and options.saves == ",".join(SAVES) and options.rounds >= 5
    if whole:
        notes = pathlib.Path(__file__).with_name("notes.md").read_text()
        pathlib.Path(options.page).write_text(page(bench, measured, load) + notes)
        print(f"written: {options.page}")
    shutil.rmtree(bench.work)
    missed = [f"{save} {what}" for save, what, _, _, met in bench.rows if met is False]
    if missed:
        print(f"NOT MET: {len(missed)}\n  " + "\n  ".join(missed))


if __name__ == "__main__":
    main()
