//! A disk that is full: the store stays as it was, can be read, and can give names up.

use std::path::Path;
use std::process::Output;

use crate::roundtrip::GCC;
use crate::support::store::{assert_nothing_pending, assert_sound, index_text, names};
use crate::support::tarball::{docker_archive, layer, noise};
use crate::support::{Sandbox, describe, fixture, need, peer};

/// How the store's disk is made.
pub(crate) const DISKS: [(&str, &str); 2] = [
    ("ext4", "truncate -s 64M disk; mkfs.ext4 -q -m 0 disk; mount -o loop disk store"),
    ("tmpfs", "mount -t tmpfs -o size=64m tmpfs store"),
];

/// Functions for the scripts: `leave N` fills the disk but for N bytes, `try CMD…` prints how CMD ended.
const FUNCTIONS: &str = r#"
free() { echo $(($(stat -f -c %a store) * $(stat -f -c %S store))); }
leave() {
  fallocate -l $(($(free) - $1)) store/filler
  while (($(free) < $1)); do truncate -s -4096 store/filler; done
}
fill() { rm -f store/filler; cat /dev/zero >store/filler 2>/dev/null || true; }
unfill() { rm -f store/filler; }
larder() { "$LARDER" "$@"; }
try() { status=0; "$@" >out 2>err || status=$?; echo "$status"; cat out; sed 's/^/  /' err; }
"#;

/// Runs a script with `store` on a disk of its own; what it leaves there is copied to `after`.
pub(crate) fn on_disk(sandbox: &Sandbox, disk: &str, script: &str) -> Option<Output> {
    let mut unshare = peer::root().and_then(|()| peer::tool("unshare"))?;
    peer::tool("mkfs.ext4")?;
    unshare.args(["--mount", "--propagation", "private", "bash", "-euc"]);
    let copy = "rm -rf after; rm -f store/filler; cp -a store after";
    unshare.arg(format!("mkdir -p store; {disk}; rm -rf store/lost+found\n{FUNCTIONS}\n{script}\n{copy}"));
    let mut unshare = sandbox.enclose(unshare);
    unshare.env("LARDER", sandbox.command::<&str>([]).get_program());
    let output = unshare.output().unwrap();
    assert!(output.status.success(), "{}", describe(&unshare, &output));
    Some(output)
}

pub(crate) fn text(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn prepare() -> Sandbox {
    let sandbox = Sandbox::new();
    std::fs::copy(fixture("docker20.tar"), sandbox.path("small.tar")).unwrap();
    let big = layer("noise", &noise(1, 16 << 20));
    std::fs::write(sandbox.path("big.size"), big.len().to_string()).unwrap();
    std::fs::write(sandbox.path("big.tar"), docker_archive("big:1", &[big])).unwrap();
    sandbox
}

fn assert_as_before(after: &Path, index: &str) {
    assert_eq!(index_text(after), index);
    assert_sound(after);
    assert_nothing_pending(after);
}

#[test]
fn an_image_that_cannot_fit_is_refused_before_anything_is_written() {
    let sandbox = prepare();
    for (name, disk) in DISKS {
        let script = "larder import small.tar >/dev/null; cp store/index.json index; leave 4000000; ls store/blobs/sha256 >a
            try larder import big.tar; try larder import - <big.tar; ls store/blobs/sha256 >b; cmp a b || echo 'blobs were written'";
        let output = need!(on_disk(&sandbox, disk, script), "root");
        let said = text(&output);
        assert_eq!(said.matches("\n1\n").count() + usize::from(said.starts_with("1\n")), 2, "{name}: {said}");
        assert_eq!(said.matches("bytes are needed").count(), 2, "{name}: {said}");
        assert_eq!(said.matches("hint: free space").count(), 2, "{name}: {said}");
        // What came through the pipe before the layer that does not fit is not named, and not left either.
        assert!(!said.contains("blobs were written"), "{name}: {said}");
        assert_as_before(&sandbox.path("after"), &std::fs::read_to_string(sandbox.path("index")).unwrap());
    }
}

/// Each member by itself would fit, and what they are compressed to as well: it is what they claim that counts.
#[test]
fn members_that_cannot_fit_together_are_refused_from_a_pipe_as_from_a_file() {
    let sandbox = Sandbox::new();
    let layers: Vec<_> = (0..3u8).map(|byte| layer("zeros", &vec![byte; 24 << 20])).collect();
    std::fs::write(sandbox.path("claims.tar"), docker_archive("claims:1", &layers)).unwrap();
    let script = "larder init >/dev/null; try larder import claims.tar; try larder import - <claims.tar";
    let output = need!(on_disk(&sandbox, DISKS[1].1, script), "a disk of its own");
    let said = text(&output);
    assert_eq!(said.matches("bytes are needed").count(), 2, "{said}");
    assert_nothing_pending(&sandbox.path("after"));
}

#[test]
fn a_disk_that_fills_up_in_the_middle_leaves_the_store_as_it_was() {
    let sandbox = prepare();
    for (name, disk) in DISKS {
        // Room for what the archive claims, a lease and no more: noise does not get smaller, and gzip adds its own.
        for import in ["larder import big.tar", "larder import - <big.tar", "larder import big.tar --jobs 1"]
        {
            let script = format!(
                "larder import small.tar >/dev/null; cp store/index.json index
                leave $(($(cat big.size) + 4096))
                try {import} --compression gzip
                unfill; larder import big.tar >/dev/null; larder export big:1 -o big-out.tar; cp -a store/index.json index-after"
            );
            let output = need!(on_disk(&sandbox, disk, &script), "root");
            let said = text(&output);
            assert!(said.starts_with("1\n"), "{name} {import}: {said}");
            assert!(
                said.contains("No space left on device") && said.contains("hint: free space"),
                "{name}: {said}"
            );
            assert_as_before(
                &sandbox.path("after"),
                &std::fs::read_to_string(sandbox.path("index-after")).unwrap(),
            );
            assert_eq!(names(&sandbox.path("after")).len(), 2, "{name}: with room again, it comes in");
        }
    }
}

#[test]
fn the_index_and_earlier_blobs_survive_a_full_disk() {
    let sandbox = prepare();
    for (name, disk) in DISKS {
        let script = "larder import small.tar >/dev/null; cp store/index.json index
            leave $(($(cat big.size) + 4096))
            larder import big.tar --compression gzip >/dev/null 2>&1 && echo 'it fitted'; true";
        let output = need!(on_disk(&sandbox, disk, script), "root");
        assert_eq!(text(&output), "", "{name}");
        assert_as_before(&sandbox.path("after"), &std::fs::read_to_string(sandbox.path("index")).unwrap());
    }
}

#[test]
fn at_zero_bytes_free_the_store_is_read_and_names_can_go() {
    let sandbox = prepare();
    for (name, disk) in DISKS {
        let script =
            "larder import small.tar >/dev/null; larder tag capy-debian-12-gcc12 other:1 >/dev/null; fill
            try larder images --format json
            try larder export capy-debian-12-gcc12 -o full-out.tar
            try larder rm other:1
            fill
            try larder tag capy-debian-12-gcc12 third:1
            unfill; larder import big.tar >/dev/null";
        let output = need!(on_disk(&sandbox, disk, script), "root");
        let said = text(&output);
        let codes: Vec<_> = said.lines().filter(|line| line.parse::<u8>().is_ok()).collect();
        assert_eq!(codes[..3], ["0", "0", "0"], "{name}: {said}");
        assert!(said.contains("\nother:1\n"), "{name}: {said}");
        // Once the reserve is used up, a change may fail; it does so cleanly.
        assert!(["0", "1"].contains(&codes[3]), "{name}: {said}");
        let other = Sandbox::new();
        other.ok(["import".as_ref(), sandbox.path("full-out.tar").as_os_str()]);
        let after = sandbox.path("after");
        assert_sound(&after);
        assert_nothing_pending(&after);
        let names = names(&after);
        assert!(
            names.contains(GCC) && names.contains("big:1") && !names.contains("other:1"),
            "{name}: {names:?}"
        );
    }
}

#[test]
fn without_a_free_inode_the_store_is_read_and_names_can_go() {
    let sandbox = prepare();
    let disk = "mount -t tmpfs -o size=32m,nr_inodes=200 tmpfs store";
    let script = "larder import small.tar >/dev/null; larder tag capy-debian-12-gcc12 other:1 >/dev/null
        mkdir store/.larder/many; i=0; while : >store/.larder/many/$i; do i=$((i + 1)); done 2>/dev/null
        try larder images --format json
        try larder export capy-debian-12-gcc12 -o full-out.tar
        try larder import big.tar
        try larder rm other:1
        rm -r store/.larder/many; larder import big.tar >/dev/null";
    let output = need!(on_disk(&sandbox, disk, script), "root");
    let said = text(&output);
    let codes: Vec<_> = said.lines().filter(|line| line.parse::<u8>().is_ok()).collect();
    assert_eq!(codes, ["0", "0", "1", "0"], "{said}");
    assert!(said.contains("No space left on device"), "{said}");
    assert_sound(&sandbox.path("after"));
    assert_nothing_pending(&sandbox.path("after"));
    assert!(!names(&sandbox.path("after")).contains("other:1"));
}

#[test]
fn a_repair_without_room_loses_nothing_and_is_done_when_there_is_some() {
    let sandbox = prepare();
    for (name, disk) in DISKS {
        // The largest blob is the layer of 16 MiB.
        let script = "larder import big.tar >/dev/null; cp store/index.json index
            blob=store/blobs/sha256/$(ls -S store/blobs/sha256 | head -n 1)
            cp $blob good; chmod u+w $blob; printf x | dd of=$blob bs=1 seek=1000000 conv=notrunc 2>/dev/null
            fill; try larder verify --repair --from big.tar; ls store/.larder/quarantine | wc -l
            unfill; rm store/.larder/quarantine/*; try larder verify --repair --from big.tar; cmp $blob good && echo same";
        let output = need!(on_disk(&sandbox, disk, script), "root");
        let said = text(&output);
        assert!(said.starts_with("5\n"), "{name}: {said}");
        assert!(said.contains("bytes are needed and"), "{name}: {said}");
        assert!(said.contains("\n1\n0\nrepaired layer ") && said.ends_with("same\n"), "{name}: {said}");
        let index = std::fs::read_to_string(sandbox.path("index")).unwrap();
        assert_as_before(&sandbox.path("after"), &index);
    }
}
/// GC works without a free byte, or inode, and what it frees can be used: nothing else is taken away meanwhile.
#[test]
fn gc_frees_a_full_disk_and_then_an_import_fits() {
    let bytes = "truncate -s 32M disk; mkfs.ext4 -q -m 0 disk; mount -o loop disk store";
    let inodes = "mount -t tmpfs -o size=32m,nr_inodes=200 tmpfs store";
    let many = "mkdir store/many; i=0; while : >store/many/$i; do i=$((i + 1)); done 2>/dev/null";
    for (name, disk, fill) in
        [("ext4", bytes, "fill; fill"), ("tmpfs", DISKS[1].1, "fill"), ("inodes", inodes, many)]
    {
        let sandbox = Sandbox::new();
        std::fs::copy(fixture("docker20.tar"), sandbox.path("small.tar")).unwrap();
        std::fs::copy(fixture("docker20-two.tar"), sandbox.path("two.tar")).unwrap();
        let layers: Vec<_> = (0..12).map(|seed| layer("noise", &noise(seed, 300_000))).collect();
        std::fs::write(sandbox.path("many.tar"), docker_archive("many:1", &layers)).unwrap();
        let script = format!(
            "larder import small.tar >/dev/null; larder import many.tar >/dev/null; larder rm many:1 >/dev/null
            {fill}
            try larder gc --dry-run --format json; try larder gc --format json; try larder import two.tar
            try larder verify; rm -rf store/many"
        );
        let output = need!(on_disk(&sandbox, disk, &script), "root");
        let said = text(&output);
        let codes: Vec<_> = said.lines().filter(|line| line.parse::<u8>().is_ok()).collect();
        assert_eq!(codes, ["0"; 4], "{name}: {said}");
        let freed: Vec<_> = said.lines().filter(|line| line.contains("\"freed_bytes\"")).collect();
        assert_eq!(freed.len(), 2, "{name}: {said}");
        assert_eq!(freed[0], freed[1], "{name}: what was planned is what went");
        assert!(
            freed[0].trim_end_matches(',').ends_with(|digit: char| digit.is_ascii_digit() && digit != ' ')
        );
        let after = sandbox.path("after");
        assert_sound(&after);
        assert_nothing_pending(&after);
        assert!(names(&after).contains(GCC) && names(&after).len() == 2, "{name}");
        assert!(crate::support::store::blobs(&after).len() < 14, "{name}: nothing went");
    }
}

#[test]
fn with_few_descriptors_a_command_fails_or_does_it_all() {
    let sandbox = Sandbox::new();
    std::fs::copy(fixture("docker20-two.tar"), sandbox.path("two.tar")).unwrap();
    need!(peer::tool("prlimit"), "prlimit");
    let mut codes = std::collections::BTreeSet::new();
    for limit in 4..26 {
        sandbox.ok(["import".as_ref(), fixture("docker20.tar").as_os_str()]);
        let before = index_text(&sandbox.store());
        for args in [&["import", "two.tar"][..], &["rm", GCC], &["gc", "--grace", "0s"]] {
            let larder = sandbox.command(args);
            let mut limited = sandbox.enclose(peer::tool("prlimit").unwrap());
            limited.arg(format!("--nofile={limit}")).arg(larder.get_program()).args(larder.get_args());
            let output = limited.output().unwrap();
            codes.insert(output.status.code());
            // The C library's loader has a code of its own.
            let is_clean = matches!(output.status.code(), Some(0 | 1 | 3 | 127));
            assert!(is_clean, "{}", describe(&limited, &output));
            assert_sound(&sandbox.store());
            let is_changed = index_text(&sandbox.store()) != before;
            assert!(!is_changed || names(&sandbox.store()).len() <= 2);
        }
        sandbox.ok(["verify"]);
    }
    sandbox.ok(["gc", "--grace", "0s"]);
    assert_nothing_pending(&sandbox.store());
    assert!(codes.contains(&Some(0)) && codes.contains(&Some(1)), "{codes:?}");
}
