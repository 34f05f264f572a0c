"""A store of many small images, made by larder itself: archives as Docker 28 writes them are generated and imported.

So every entry, manifest, cache and file is what `larder import` writes. One image in twenty-five has lost its name to a
later import. Then time is made to pass: times of import are spread over 200 days, half of the images get a use record, which
the next change of the index (some pins) folds into it, and one in twenty is used once more after that.
"""

import hashlib
import io
import json
import os
import pathlib
import random
import subprocess
import sys
import tarfile
import tempfile
import time

REPOSITORIES = 200
BASES = 20
BASE_LAYERS = 3
BATCH = 500
DAYS = 200


def name(number):
    """Names of the kind that a CI has; fifty versions of each."""
    repository = number % REPOSITORIES
    if repository % 4 == 0:
        return f"registry.example.com:5000/team-{repository % 7}/service-{repository:03}:v{number // REPOSITORIES}"
    return f"capy-debian-12-gcc{repository:03}:v{number // REPOSITORIES}"


class Archive:
    """A docker-archive with an OCI index beside its `manifest.json`; each blob stands in it once."""

    def __init__(self, path):
        self.path = path
        self.tar = tarfile.open(path, "w", format=tarfile.USTAR_FORMAT)
        self.written, self.docker, self.oci = set(), [], []

    def file(self, path, content):
        info = tarfile.TarInfo(path)
        info.size = len(content)
        self.tar.addfile(info, io.BytesIO(content))

    def blob(self, content, media_type):
        digest = hashlib.sha256(content).hexdigest()
        if digest not in self.written:
            self.written.add(digest)
            self.file(f"blobs/sha256/{digest}", content)
        return {"mediaType": f"application/vnd.oci.image.{media_type}+json".replace("tar+json", "tar"), "digest": f"sha256:{digest}", "size": len(content)}

    def image(self, reference, layers):
        layers = [self.blob(layer, "layer.v1.tar") for layer in layers]
        config = {
            "created": "2026-01-01T00:00:00Z", "architecture": "amd64", "os": "linux",
            "config": {"Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin"], "Cmd": ["/bin/sh"], "WorkingDir": "/", "Labels": {"version": reference}},
            "rootfs": {"type": "layers", "diff_ids": [layer["digest"] for layer in layers]},
            "history": [{"created": "2026-01-01T00:00:00Z", "created_by": f"/bin/sh -c #(nop) ADD file:{layer['digest'][7:39]} in /"} for layer in layers],
        }
        config = self.blob(json.dumps(config, separators=(",", ":")).encode(), "config.v1")
        manifest = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "config": config, "layers": layers}
        entry = self.blob(json.dumps(manifest, separators=(",", ":")).encode(), "manifest.v1")
        full = reference if "/" in reference else f"docker.io/library/{reference}"
        self.oci.append(entry | {"annotations": {"io.containerd.image.name": full, "org.opencontainers.image.ref.name": reference.rsplit(":", 1)[1]}})
        path = lambda blob: f"blobs/sha256/{blob['digest'][7:]}"
        self.docker.append({"Config": path(config), "RepoTags": [reference], "Layers": list(map(path, layers)), "LayerSources": {layer["digest"]: layer for layer in layers}})

    def close(self):
        oci = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": self.oci}
        self.file("index.json", json.dumps(oci, separators=(",", ":")).encode())
        self.file("manifest.json", json.dumps(self.docker, separators=(",", ":")).encode())
        self.file("oci-layout", b'{"imageLayoutVersion":"1.0.0"}')
        self.tar.close()


def layer(*seed):
    """A tar with one small file of text in it; the same seed, the same bytes."""
    text = random.Random(repr(seed))
    content = "".join(text.choices("abcdefghijklmnopqrstuvwxyz \n", k=text.randrange(100, 900))).encode()
    tar = tarfile.TarInfo("usr/share/" + "-".join(map(str, seed)))
    tar.size = len(content)
    return tar.tobuf(tarfile.USTAR_FORMAT) + content + bytes(-len(content) % 512 + 1024)


def image(number):
    """A base that many share, a layer of its repository, and seven or eight of its own."""
    repository = number % REPOSITORIES
    shared = [layer("base", repository % BASES, at) for at in range(BASE_LAYERS)] + [layer("repository", repository)]
    return shared + [layer("own", number, at) for at in range(8 if number % 4 == 0 else 7)]


def archive(path, numbers, named=sys.maxsize):
    """An archive of these images; from `named` on they take the names of earlier ones."""
    made = Archive(path)
    for number in numbers:
        made.image(name(number if number < named else (number - named) * 24), image(number))
    made.close()
    return path


def make(larder, store, images):
    """Makes the store in memory, where an fsync costs nothing, and copies it to its place."""
    with tempfile.TemporaryDirectory(dir="/dev/shm", prefix="larder-scale.") as work:
        fill(larder, pathlib.Path(work, "store"), images, pathlib.Path(work))
        subprocess.run(["cp", "-a", f"{work}/store", str(store)], check=True)
    subprocess.run(["sync", "-f", str(store)], check=True)


def fill(larder, store, images, work):
    def run(*words):
        done = subprocess.run([larder, "--store", str(store), *words], stdin=subprocess.DEVNULL, capture_output=True, text=True)
        if done.returncode != 0:
            raise SystemExit(f"scale: larder {' '.join(words)}: exit code {done.returncode}\n{done.stderr}")

    # One in twenty-five has lost its name to a later one.
    displaced = images // 25
    named = images - displaced
    for begin in [*range(0, named, BATCH), *range(named, images, BATCH)]:
        end = min(begin + BATCH, images if begin >= named else named)
        path = archive(work / "batch.tar", range(begin, end), named)
        run("import", "--replace", str(path))
        path.unlink()
    age(store, images)
    for number in range(0, named, named // 20):
        run("pin", name(number))
    use_again(store)


def age(store, images):
    """As if the images had come in over 200 days, and every second one had been used since."""
    index = json.loads((store / "index.json").read_bytes())
    now = int(time.time())
    for at, entry in enumerate(index["manifests"]):
        imported = now - DAYS * 86400 * (images - at) // images
        entry["annotations"]["dev.larder.imported"] = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(imported))
        if at % 2 == 0:
            record(store, entry["digest"], imported + (now - imported) * (at % 97) // 100, 1 + at % 40)
    (store / "index.json").write_text(json.dumps(index, separators=(",", ":")))


def use_again(store):
    """One in twenty was used since the index was written."""
    now = int(time.time())
    for at, entry in enumerate(json.loads((store / "index.json").read_bytes())["manifests"]):
        if at % 20 == 0:
            record(store, entry["digest"], now, 50)


def record(store, digest, last, count):
    """What `larder export` leaves: a line, and the time of the file."""
    file = store / ".larder/usage" / digest.removeprefix("sha256:")
    file.write_text(f"{last:020} {count:020}\n")
    os.utime(file, (last, last))


if __name__ == "__main__":
    make(sys.argv[1], pathlib.Path(sys.argv[2]), int(sys.argv[3]))
