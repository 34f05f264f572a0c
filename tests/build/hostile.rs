//! Bases and contexts that mean harm: refused by name, or confined to the image.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::{Builder, copy};
use crate::support::need;
use crate::support::store::{index_text, tree};
use crate::support::tarball::Tarball;

/// What nobody may touch or see.
fn outside(builder: &Builder) -> PathBuf {
    let outside = builder.sandbox.path("outside");
    std::fs::create_dir(&outside).unwrap();
    std::fs::write(outside.join("passwd"), "evil:x:7:7:secret:/:/bin/sh\n").unwrap();
    outside
}

/// Two directories up from there is the root, whatever the store's path is.
const UP: &str = "../../../../../../../../../../../..";

#[test]
fn links_of_a_base_lead_nowhere_outside() {
    let builder = need!(Builder::new(), "root, runc and busybox");
    let outside = outside(&builder);
    let before = tree(&outside);
    let script = "RUN echo x > /dev/made; echo x > /etc/made; echo x > /sys/made; mkdir /made; true\n";
    for name in ["dev", "proc", "sys", "etc"] {
        for target in [outside.clone(), UP.into(), PathBuf::from(UP).join(outside.strip_prefix("/").unwrap())]
        {
            let base = builder.sandbox.path("hostile");
            copy(&builder.sandbox.path("base"), &base);
            if name == "etc" {
                std::fs::remove_dir_all(base.join("etc")).unwrap();
            }
            symlink(&target, base.join(name)).unwrap();
            builder.import("hostile:1", &["hostile"]);
            std::fs::remove_dir_all(&base).unwrap();
            let dockerfile = format!("FROM hostile:1\nWORKDIR /etc/cwd\n{script}");
            let output = builder.run(&dockerfile, &[]);
            let told = String::from_utf8_lossy(&output.stderr);
            if name == "etc" {
                // In there links are followed inside the root.
                assert!(output.status.success(), "{target:?}: {told}");
            } else {
                let says = format!(
                    "context/Dockerfile:3: {}: the step's root has a /{name} that is no directory\nhint: ",
                    script.trim()
                );
                assert!(output.status.code() == Some(1) && told.contains(&says), "{told}");
            }
            let told = builder.fail("FROM hostile:1\nUSER evil\nRUN id\n", &[], 1);
            assert!(!told.contains("uid=7"), "{told}");
        }
    }
    assert_eq!(tree(&outside), before);
    for made in ["/made", "/etc/made", "/etc/cwd", "/dev/made"] {
        assert!(!Path::new(made).exists(), "{made}");
    }
    builder.assert_gone(&[]);
    builder.assert_clean();
}

#[test]
fn layers_that_climb_are_refused_by_name() {
    let builder = need!(Builder::new(), "root, runc and busybox");
    let outside = outside(&builder);
    let (before, index) = (tree(&outside), index_text(&builder.sandbox.store()));
    let secret = outside.join("passwd");
    let climbing = format!("{UP}/{}", outside.join("made").strip_prefix("/").unwrap().display());
    type Make = fn(&mut Tarball, &str, &str);
    let cases: [(Make, &str); 6] = [
        (|tar, climbing, _| _ = tar.file(climbing, b"bad"), "climbs"),
        (|tar, _, _| _ = tar.file("a/../../../../../made", b"bad"), "climbs"),
        (|tar, _, secret| _ = tar.hard_link("x", secret), "which is not there"),
        (|tar, climbing, _| _ = tar.hard_link("x", climbing), "climbs"),
        (|tar, _, _| _ = tar.file("f", b"").file("f/x", b"bad"), "which is no directory"),
        (|tar, _, _| _ = tar.link("a", "a/a").file("a/x", b"bad"), "more links on its way"),
    ];
    for (make, says) in cases {
        let mut layer = Tarball::new();
        make(&mut layer, &climbing[..climbing.len().min(99)], secret.to_str().unwrap());
        builder.import_layers("climbs:1", &[builder.layer("base"), layer.bytes()], json!({}));
        for dockerfile in
            ["FROM climbs:1\nRUN echo x\n", "FROM busybox:1\nRUN echo y\nCOPY --from=climbs:1 /bin /b\n"]
        {
            let output = builder.run(dockerfile, &[]);
            let told = String::from_utf8_lossy(&output.stderr);
            let error = told.lines().find(|line| line.starts_with("larder: ")).unwrap_or_default();
            assert!(
                matches!(output.status.code(), Some(1 | 5))
                    && error.contains(says)
                    && error.contains("context/Dockerfile:"),
                "{says}: {told}"
            );
        }
        assert_eq!(tree(&outside), before, "{says}");
    }
    builder.sandbox.ok(["rm", "climbs:1"]);
    assert_ne!(index_text(&builder.sandbox.store()), index, "what it displaced is there");
    builder.assert_clean();
}

#[test]
fn what_is_written_through_links_stays_in_the_image() {
    let builder = need!(Builder::new(), "root, runc and busybox");
    let outside = outside(&builder);
    let before = tree(&outside);
    let target = outside.to_str().unwrap();
    let up = format!("{UP}{target}");
    let mut links = Tarball::new();
    links.link("absolute", target).link("up", "../../../../../..").link("climbs", &up[..up.len().min(99)]);
    let mut through = Tarball::new();
    through.file("absolute/made", b"inside").file("up/made", b"inside").file("climbs/made", b"inside");
    let layers = [builder.layer("base"), links.bytes(), through.bytes()];
    builder.import_layers("links:1", &layers, json!({}));
    std::fs::write(builder.context().join("file"), "inside").unwrap();
    std::fs::write(builder.context().join("archive.tar"), builder.layer("base/etc")).unwrap();
    let dockerfile = "FROM links:1\nCOPY file /absolute/copied\nCOPY file /up/copied\nCOPY file /climbs/copied\n\
        ADD archive.tar /absolute/unpacked/\nWORKDIR /absolute/cwd\nRUN echo inside > here; echo inside > /absolute/run; cat /absolute/passwd; cat /up/etc/passwd\n\
        COPY --from=links:1 /absolute/made /again\nRUN cat /again /absolute/copied /up/copied /made\n";
    let made = builder.ok(dockerfile, &[]);
    assert!(!made.told.contains("secret"), "{}", made.told);
    assert!(made.said("RUN cat /again").starts_with("insideinsideinsideinside"), "{}", made.told);
    let told = builder.fail("FROM busybox:1\nCOPY --from=links:1 /absolute/passwd /stolen\n", &[], 1);
    assert!(told.contains("\"/absolute/passwd\": there is no such file in what it is copied from"), "{told}");
    assert_eq!(tree(&outside), before);
    assert!(!Path::new("/copied").exists() && !Path::new("/made").exists());
    builder.assert_clean();
}

#[test]
fn a_config_that_means_harm_is_confined_or_refused() {
    let builder = need!(Builder::new(), "root, runc and busybox");
    let layers = [builder.layer("base")];
    let import = |settings| builder.import_layers("config:1", &layers, settings);
    import(json!({"WorkingDir": format!("/{UP}/made-by-larder"), "Env": ["PATH=/bin", "A=\u{1b}[31m\n"]}));
    let made = builder.ok("FROM config:1\nRUN pwd; echo \"$A\"\n", &[]);
    assert_eq!(made.said("RUN pwd"), "/made-by-larder\n\n", "what steers a terminal is taken away");
    assert!(!made.told.contains('\u{1b}') && !Path::new("/made-by-larder").exists());
    for settings in [
        json!({"WorkingDir": format!("{UP}/relative")}),
        json!({"Env": ["=x"]}),
        json!({"User": "../../evil"}),
        json!({"User": "99999999999"}),
        json!({"Shell": ["/nothing"]}),
        json!({"Entrypoint": 7, "User": "-1"}),
    ] {
        import(settings.clone());
        let told = builder.fail("FROM config:1\nRUN id\n", &[], 1);
        assert!(told.contains("larder: context/Dockerfile:2: RUN id: "), "{settings}: {told}");
    }
    builder.assert_clean();
}

#[test]
fn a_file_of_etc_that_nothing_can_be_bound_over_is_told_in_words_before_anything_runs() {
    let builder = need!(Builder::new(), "root, runc and busybox");
    for (path, target, why) in [
        ("etc/hosts", "/proc/self/fd/0", "it leads to /proc/self/fd/0, where the runtime mounts"),
        ("etc/resolv.conf", "../proc/net/pnp", "it leads to /proc/net/pnp, where the runtime mounts"),
        ("etc/hostname", "/dev/null", "it leads to /dev/null, where the runtime mounts"),
        ("etc/hosts", "hosts", "it leads nowhere (Too many levels of symbolic links"),
        ("etc/hosts", "/etc/passwd/x", "it leads nowhere (Not a directory"),
        ("etc/hosts", "/tmp", "/tmp is a directory"),
        ("etc/hosts", "", "/etc/hosts is a directory"),
    ] {
        let base = builder.sandbox.path("bound");
        copy(&builder.sandbox.path("base"), &base);
        match target {
            "" => std::fs::create_dir(base.join(path)).unwrap(),
            target => symlink(target, base.join(path)).unwrap(),
        }
        builder.import("bound:1", &["bound"]);
        std::fs::remove_dir_all(&base).unwrap();
        let told = builder.fail("FROM bound:1\nRUN echo ran\n", &[], 1);
        let says = format!(
            "larder: context/Dockerfile:2: RUN echo ran: the machine's file cannot be shown as /{path} of the step's root: {why}"
        );
        assert!(
            told.contains(&says) && told.contains("\nhint: make it a file in the image, or remove it"),
            "{told}"
        );
        assert!(!told.contains("\nran\n"), "{told}");
        // What needs no root of its own can be done.
        builder.ok("FROM bound:1\nWORKDIR /made\n", &[]);
    }
    builder.assert_gone(&[]);
    builder.assert_clean();
}
