//! Where things go.

use super::World;

const CONTEXT: &[&str] = &[
    "f:600",
    "g:644",
    "d/x:644",
    "d/sub/y:644",
    "d/sub/:711",
    "d/:700",
    "d/lnk -> x",
    "e/sub2/z:644",
    "tof -> f",
    "tod -> d",
    "absf -> /f",
    "out -> ../../../../etc/passwd",
    "suid:4755",
];
const IMAGE: &[&str] = &[
    "existing/file:644",
    "existing/sub/y:640",
    "existing/sub/:750",
    "existing/:775",
    "existing/sub2 -> ../real",
    "real/",
    "ldir -> real",
    "lfile -> existing/file",
    "ldang -> newtarget",
    "absldir -> /real",
    "afile:644",
];

fn world() -> Option<World> {
    Some(World::new()?.with(CONTEXT).above(IMAGE))
}

#[test]
fn destinations_are_dockers() {
    for (step, expected) in [
        ("COPY f /a/dst", &["a/ 755", "a/dst=f 600"][..]),
        ("COPY f /a/b/", &["a/ 755", "a/b/ 755", "a/b/f=f 600"]),
        ("COPY --chown=5:6 f /a/", &["a/ 755 5:6", "a/f=f 600 5:6"]),
        ("COPY --chown=5:6 d/sub /a/b", &["a/ 755", "a/b/ 755 5:6", "a/b/y=d/sub/y 644 5:6"]),
        ("COPY d /n", &["n/ 755", "n/lnk -> x", "n/sub/ 711", "n/sub/y=d/sub/y 644", "n/x=d/x 644"]),
        ("COPY f /existing/file", &["existing/ 775", "existing/file=f 600"]),
        ("COPY f /existing", &["existing/ 775", "existing/f=f 600"]),
        ("COPY f /ldir", &["real/ 755", "real/f=f 600"]),
        ("COPY f /absldir/", &["real/ 755", "real/f=f 600"]),
        ("COPY f /lfile", &["existing/ 775", "existing/file=f 600"]),
        ("COPY f /ldang", &["newtarget=f 600"]),
        ("COPY f /ldang/", &["newtarget/ 755", "newtarget/f=f 600"]),
        ("COPY f /afile", &["afile=f 600"]),
        ("COPY e /existing/", &["existing/ 775", "existing/sub2/ 755", "existing/sub2/z=e/sub2/z 644"]),
        ("COPY d/sub /existing/sub", &["existing/ 775", "existing/sub/ 750", "existing/sub/y=d/sub/y 644"]),
        (
            "COPY --chown=5:6 d /existing",
            &[
                "existing/ 775",
                "existing/lnk -> x 5:6",
                "existing/sub/ 711 5:6",
                "existing/sub/y=d/sub/y 644 5:6",
                "existing/x=d/x 644 5:6",
            ],
        ),
        ("COPY tof /x/", &["x/ 755", "x/tof=f 600"]),
        ("COPY absf /x", &["x=f 600"]),
        ("COPY tod/sub /x", &["x/ 755", "x/y=d/sub/y 644"]),
        ("COPY f/ /x/", &["x/ 755", "x/f=f 600"]),
        ("COPY d/s* /x/", &["x/ 755", "x/y=d/sub/y 644"]),
        ("COPY [fg] d/../g? f /x/", &[]),
        ("COPY [fg] /x/", &["x/ 755", "x/f=f 600", "x/g=g 644"]),
        ("COPY e*/sub2/* .", &["work/ 755", "work/z=e/sub2/z 644"]),
        ("COPY suid /x", &["x=suid 755"]),
        ("COPY --chmod=4711 suid /a/x", &["a/ 711", "a/x=suid 4711"]),
        ("COPY --chmod=700 d/sub /a/x", &["a/ 700", "a/x/ 700", "a/x/y=d/sub/y 700"]),
        ("COPY g ../new/", &["new/ 755", "new/g=g 644"]),
        ("COPY <<A <<B /x/\naa\nA\nbb\nB", &["x/ 755", "x/A=aa\n 644", "x/B=bb\n 644"]),
        ("COPY <<A g /x/\naa\nA", &["x/ 755", "x/A=aa\n 644", "x/g=g 644"]),
        ("WORKDIR v", &["work/ 755", "work/v/ 755"]),
        ("WORKDIR /ldir/sub", &["real/ 755", "real/sub/ 755"]),
        ("WORKDIR /existing", &[]),
    ] {
        let Some(mut world) = world() else { return };
        match world.step(step) {
            Ok(made) => assert_eq!(made, expected, "{step}"),
            Err(why) => assert!(expected.is_empty() && why.contains("no such file"), "{step}: {why}"),
        }
    }
}

#[test]
fn what_cannot_be_is_named() {
    for (step, says) in [
        ("COPY q /x/", "\"q\": there is no such file in the context"),
        ("COPY q* /x/", "\"q*\": there is no such file"),
        ("COPY out /x/", "\"out\": there is no such file"),
        ("COPY o* /x/", "link to what is not in the context"),
        ("COPY ../x /x/", "leads out of the context"),
        ("COPY tod/../../x /x/", "leads out of the context"),
        ("COPY to*/sub /x/", "no such file"),
        ("COPY [fg] /x", "does not end with /"),
        ("COPY [f /x", "is no pattern"),
        ("COPY f /afile/", "no directory"),
        ("COPY f /afile/x", "no directory"),
        ("COPY d/sub /afile", "is no directory"),
        ("COPY d/sub /lfile", "is no directory"),
        ("COPY f/x /a", "is no directory"),
        ("COPY --chown=me f /a", "no /etc/passwd"),
        ("WORKDIR /afile", "is no directory"),
        ("WORKDIR /lfile/x", "is no directory"),
        ("COPY --from=s /none /x", "no such file in what it is copied from"),
    ] {
        let Some(mut world) = world() else { return };
        match world.step(step) {
            Ok(made) => panic!("{step}: {made:?}"),
            Err(why) => assert!(why.contains(says), "{step}: {why}"),
        }
    }
}

#[test]
fn a_stage_keeps_its_owners_and_its_links_stay_inside() {
    let Some(world) = World::new() else { return };
    let mut world = world.with(&["d/a:755"]).above(&["etc/"]);
    world.step("COPY --chown=7:8 --chmod=4755 d /in").unwrap();
    assert_eq!(world.step("COPY --from=s /in /o").unwrap(), ["o/ 755", "o/a=d/a 4755 7:8"]);
    assert_eq!(world.step("COPY --from=s in/a /o/p").unwrap(), ["o/ 755", "o/p=d/a 4755 7:8"]);
    assert_eq!(
        world.step("COPY --from=s --chown=1 in/../../in/a /q").unwrap(),
        ["q=d/a 755 1:1"],
        "a new owner takes setuid away"
    );
}

#[test]
fn what_is_ignored_is_not_there() {
    let lines = "drop\npart\n!part/f\n*.log\n";
    let files =
        &["keep/f:644", "drop/f:644", "part/f:644", "part/g:644", "part/:700", "x.log", "todrop -> drop/f"];
    for (step, expected) in [
        (
            "COPY . /x",
            Ok(vec![
                "x/ 755",
                "x/keep/ 755",
                "x/keep/f=keep/f 644",
                "x/part/ 755",
                "x/part/f=part/f 644",
                "x/todrop -> drop/f",
            ]),
        ),
        ("COPY part /x", Ok(vec!["x/ 755", "x/f=part/f 644"])),
        ("COPY drop /x", Err("no such file")),
        ("COPY drop/f /x", Err("no such file")),
        ("COPY todrop /x", Err("no such file")),
        ("COPY part/g /x", Err("no such file")),
        ("COPY x.* /x/", Err("no such file")),
        ("COPY d* /x/", Err("no such file")),
        ("COPY */f /x/", Ok(vec!["x/ 755", "x/f=part/f 644"])),
    ] {
        let Some(world) = World::new() else { return };
        let mut world = world.with(files).ignoring(lines);
        match (world.step(step), expected) {
            (Ok(made), Ok(expected)) => assert_eq!(made, expected, "{step}"),
            (Err(why), Err(says)) => assert!(why.contains(says), "{step}: {why}"),
            (got, expected) => panic!("{step}: {got:?}, and not {expected:?}"),
        }
    }
}
