"""A tar of a root file system as a docker-archive with one layer."""

import hashlib
import io
import json
import tarfile


def pack(layer, name, out):
    with open(layer, "rb") as tar:
        digest = hashlib.file_digest(tar, "sha256").hexdigest()
    config = json.dumps({
        "architecture": "amd64", "os": "linux", "config": {"Cmd": ["/bin/bash"]},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]},
    }).encode()
    path = hashlib.sha256(config).hexdigest() + ".json"
    manifest = json.dumps([{"Config": path, "RepoTags": [name], "Layers": [f"{digest}/layer.tar"]}]).encode()
    with tarfile.open(out, "w") as tar:
        for member, content in ((path, config), ("manifest.json", manifest)):
            info = tarfile.TarInfo(member)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
        tar.add(layer, f"{digest}/layer.tar")


def packed(layer, name):
    """The archive beside the layer, made once; its path."""
    path = layer.with_name("image.tar")
    if not path.exists():
        part = path.with_suffix(".part")
        pack(layer, name, part)
        part.rename(path)
    return str(path)
