//! Archives that are good, and archives that mean harm.

use super::*;

impl Source for &[u8] {
    fn read_full(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let count = buffer.len().min(self.len());
        buffer[..count].copy_from_slice(&self[..count]);
        *self = &self[count..];
        Ok(count)
    }
    fn skip(&mut self, count: u64) -> Result<bool> {
        let fits = count <= self.len() as u64;
        *self = &self[(count as usize).min(self.len())..];
        Ok(fits)
    }
}

fn members(archive: &[u8]) -> Result<Vec<Member>> {
    let mut members = Members::new(archive);
    let mut all = Vec::new();
    while let Some(member) = members.next_member()? {
        all.push(member);
    }
    Ok(all)
}

fn header(path: &str, kind: EntryType, size: u64) -> Header {
    let mut header = Header::new_ustar();
    header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
    header.set_entry_type(kind);
    header.set_size(size);
    header.set_mode(0o644);
    header.set_cksum();
    header
}

fn raw(parts: &[(Header, &[u8])]) -> Vec<u8> {
    let mut out = Vec::new();
    for (header, data) in parts {
        out.extend(header.as_bytes());
        out.extend(*data);
        out.resize(out.len().next_multiple_of(512), 0);
    }
    out.resize(out.len() + 1024, 0);
    out
}

fn pax(records: &[(&str, &str)]) -> Vec<u8> {
    let mut out = String::new();
    for (key, value) in records {
        let body = format!(" {key}={value}\n");
        let mut length = body.len() + 2;
        while format!("{length}{body}").len() != length {
            length += 1;
        }
        out += &format!("{length}{body}");
    }
    out.into_bytes()
}

#[test]
fn finds_files_and_links() {
    let mut link = header("b/layer.tar", EntryType::Symlink, 0);
    link.set_link_name("../a/layer.tar").expect("fits");
    link.set_cksum();
    let archive = raw(&[
        (header("./a/", EntryType::Directory, 0), b""),
        (header("./a/layer.tar", EntryType::Regular, 3), b"abc"),
        (link, b""),
        (header("x", EntryType::XHeader, 0), b""),
        (header("c", EntryType::Regular, 0), b""),
    ]);
    let found = members(&archive).expect("a good archive");
    assert_eq!(
        found.iter().map(|m| m.path.as_str()).collect::<Vec<_>>(),
        ["a", "a/layer.tar", "b/layer.tar", "c"]
    );
    assert_eq!((found[1].offset, found[1].size), (1024, 3));
    assert_eq!(found[2].kind, Kind::Link("a/layer.tar".into()));
}

#[test]
fn long_names_and_large_sizes() {
    let long = "d/".repeat(100) + "file";
    let named = pax(&[("path", &long), ("mtime", "1.5")]);
    let gnu = [long.as_bytes(), b"\0"].concat();
    for (kind, data) in [(EntryType::XHeader, &named), (EntryType::GNULongName, &gnu)] {
        let archive = raw(&[
            (header("x", kind, data.len() as u64), data),
            (header("short", EntryType::Regular, 1), b"x"),
        ]);
        assert_eq!(members(&archive).expect("good")[0].path, long);
    }
    let size = pax(&[("size", "9000000000")]);
    let archive = raw(&[
        (header("x", EntryType::XHeader, size.len() as u64), &size),
        (header("big", EntryType::Regular, 0), b""),
    ]);
    assert!(members(&archive).expect_err("its content is not there").to_string().contains("cut off"));
}

#[test]
fn refuses_what_can_be_read_two_ways_or_leads_out() {
    let file = |path: &str| raw(&[(header(path, EntryType::Regular, 0), b"")]);
    let kind = |kind| raw(&[(header("e", kind, 0), b"")]);
    let with_pax = |records: &[(&str, &str)]| {
        let data = pax(records);
        raw(&[
            (header("x", EntryType::XHeader, data.len() as u64), &data),
            (header("e", EntryType::Regular, 3), b"abc"),
        ])
    };
    let link = |to: &str, kind| {
        let mut header = header("a/l", kind, 0);
        header.as_old_mut().linkname[..to.len()].copy_from_slice(to.as_bytes());
        header.set_cksum();
        raw(&[(header, b"")])
    };
    let mut negative = header("e", EntryType::Regular, 0);
    negative.as_old_mut().size = [0xff; 12];
    negative.set_cksum();
    let of_base_256 = |first: [u8; 4]| {
        let mut header = header("e", EntryType::Regular, 0);
        header.as_old_mut().size[..4].copy_from_slice(&first);
        header.as_old_mut().size[4..].copy_from_slice(&3u64.to_be_bytes());
        header.set_cksum();
        raw(&[(header, b"abc")])
    };
    assert_eq!(members(&of_base_256([0x80, 0, 0, 0])).expect("a good size")[0].size, 3);
    let sized = |path: &str, kind| {
        let mut header = header(path, kind, 3);
        header.as_old_mut().linkname[0] = b'l';
        header.set_cksum();
        raw(&[(header, b"abc")])
    };
    let beside_pax = |ustar| {
        let data = pax(&[("size", "9000000000")]);
        raw(&[
            (header("x", EntryType::XHeader, data.len() as u64), &data),
            (header("e", EntryType::Regular, ustar), b"abc"),
        ])
    };
    for ustar in [0, USTAR_MAX] {
        let cut = members(&beside_pax(ustar)).expect_err("its content is not there");
        assert!(cut.to_string().contains("cut off"), "{ustar}: {cut}");
    }
    assert!(members(&beside_pax(3)).expect_err("refused").to_string().contains("two sizes"));
    let good = file("e");
    let two_names = {
        let data = pax(&[("path", "a")]);
        raw(&[
            (header("x", EntryType::XHeader, data.len() as u64), &data),
            (header("l", EntryType::GNULongName, 2), b"b\0"),
            (header("e", EntryType::Regular, 0), b""),
        ])
    };
    let global = {
        let data = pax(&[("path", "a")]);
        raw(&[
            (header("g", EntryType::XGlobalHeader, data.len() as u64), &data),
            (header("e", EntryType::Regular, 0), b""),
        ])
    };
    for (why, archive) in [
        ("empty", Vec::new()),
        ("text", b"this is not a tar archive\n".repeat(40)),
        ("short", b"x".to_vec()),
        ("no end", good[..512].to_vec()),
        ("half an end", good[..1024].to_vec()),
        ("cut content", raw(&[(header("e", EntryType::Regular, 2000), b"abc")])),
        ("trailing", [&good[..], b"x"].concat()),
        ("endless zeros", [&good[..], &vec![0; 3 << 20]].concat()),
        ("climbs", file("a/../../b")),
        ("absolute", file("/etc/passwd")),
        ("backslash", file("a\\b")),
        ("control", file("a\u{1b}[2J")),
        ("fifo", kind(EntryType::Fifo)),
        ("char", kind(EntryType::Char)),
        ("block", kind(EntryType::Block)),
        ("sparse", kind(EntryType::GNUSparse)),
        ("strange", kind(EntryType::new(b'V'))),
        ("link out", link("../../x", EntryType::Symlink)),
        ("link away", link("/x", EntryType::Symlink)),
        ("hard link out", link("../x", EntryType::Link)),
        ("negative", raw(&[(negative, b"")])),
        ("base-256, first byte", of_base_256([0x81, 0, 0, 0])),
        ("base-256, second byte", of_base_256([0x80, 1, 0, 0])),
        ("base-256, fourth byte", of_base_256([0x80, 0, 0, 1])),
        ("a file of a directory's name", sized("e/", EntryType::Regular)),
        ("an old file of a directory's name", sized("e/", EntryType::new(0))),
        ("a directory of a size", sized("e", EntryType::Directory)),
        ("a link of a size", sized("e", EntryType::Symlink)),
        ("a hard link of a size", sized("e", EntryType::Link)),
        ("two sizes", with_pax(&[("size", "1")])),
        ("size no number", with_pax(&[("size", "-3")])),
        ("two paths", with_pax(&[("path", "a"), ("path", "b")])),
        ("pax sparse", with_pax(&[("GNU.sparse.major", "1")])),
        (
            "malformed pax",
            raw(&[(header("x", EntryType::XHeader, 3), b"abc"), (header("e", EntryType::Regular, 0), b"")]),
        ),
        ("huge pax", raw(&[(header("x", EntryType::XHeader, 1 << 20), &vec![b'a'; 1 << 20])])),
        ("two names", two_names),
        ("global path", global),
        ("pax without member", raw(&[(header("x", EntryType::GNULongName, 2), b"a\0")])),
    ] {
        assert!(members(&archive).is_err(), "{why}");
    }
    let mut flipped = good;
    flipped[3] ^= 1;
    assert!(members(&flipped).is_err());
}
