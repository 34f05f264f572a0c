//! Layers mounted by the library, and copied where they cannot be mounted.

use std::path::Path;

use larder_store::cancel::Cancel;
use larder_store::overlay::{overlay, own_namespace};
use larder_store::tree::{Directory, copy_stack};

use super::layers::{Layers, Tarball};
use super::picture;
use crate::support::{directory, disk, here};

fn made(path: &Path) -> Directory {
    std::fs::create_dir(path).unwrap();
    Directory::open(path).unwrap()
}

fn three_layers(dir: &Path) -> Layers {
    let mut layers = Layers::below(dir);
    let first = Tarball::new().directory("d").file("d/a", b"a").hard_link("d/b", "d/a").file("gone", b"");
    let second = Tarball::new()
        .file(".wh.gone", b"")
        .file("d/new", &[0; 200_000])
        .symlink("l", "d")
        .directory("o")
        .file("o/x", b"");
    let third = Tarball::new().file("o/.wh..wh..opq", b"").file("o/y", b"y").device("null", 1, 3);
    for layer in [first, second, third] {
        layers.add(&layer.bytes()).unwrap();
    }
    layers
}

#[test]
fn many_layers_and_odd_names() {
    if !disk::own_namespace(here!()) {
        return;
    }
    let dir = directory();
    // What would end an option, or stand for another layer.
    let odd = dir.path().join("a:b,c\\d");
    std::fs::create_dir(&odd).unwrap();
    let mut layers = Layers::below(&odd);
    for number in 0..120 {
        layers.add(&Tarball::new().file(&format!("f{number}"), b"").file("same", &[number]).bytes()).unwrap();
    }
    let (upper, work, target) =
        (made(&odd.join("upper")), made(&odd.join("work")), made(&odd.join("target")));
    let lower: Vec<_> = (0..120).rev().map(|number| Directory::open(&layers.path(number)).unwrap()).collect();
    let mounted = overlay(&lower, &upper, &work, &target).unwrap().expect("this kernel has overlayfs");
    let root = odd.join("target");
    assert_eq!(std::fs::read(root.join("same")).unwrap(), [119]);
    assert!(root.join("f0").exists());
    std::fs::write(root.join("written"), "").unwrap();
    drop(mounted);
    assert!(!root.join("f0").exists() && odd.join("upper/written").exists());
    let many: Vec<_> = (0..300).map(|_| Directory::open(&layers.path(0)).unwrap()).collect();
    let error = overlay(&many, &upper, &work, &target).unwrap_err();
    assert!(error.to_string().contains("300 layers"), "{error}");
}

#[test]
fn a_copy_is_what_overlayfs_shows() {
    if !disk::own_namespace(here!()) {
        return;
    }
    let dir = directory();
    let layers = three_layers(dir.path());
    let copy = dir.path().join("copy");
    copy_stack(layers.stack(), &made(&copy), &Cancel::new()).unwrap();
    let (shown, copied) = (picture::of(&layers.mount(None).0), picture::of(&copy));
    assert!(shown == copied, "overlayfs is left:\n{}", picture::difference(&shown, &copied));
}

/// What hides all below it, where the kernel would merge; and no mount leaves its namespace.
#[test]
fn a_root_that_is_opaque_and_a_namespace_of_its_own() {
    if !disk::own_namespace(here!()) {
        return;
    }
    let dir = directory();
    let mut layers = Layers::below(dir.path());
    layers.add(&Tarball::new().file("old", b"").bytes()).unwrap();
    layers.add(&Tarball::new().file(".wh..wh..opq", b"").file("new", b"").bytes()).unwrap();
    let root = dir.path().join("target");
    let (mounted, looked) = (std::sync::Barrier::new(2), std::sync::Barrier::new(2));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            own_namespace().unwrap();
            let lower = [1, 0].map(|number| Directory::open(&layers.path(number)).unwrap());
            let [upper, work, target] = ["upper", "work", "target"].map(|name| made(&dir.path().join(name)));
            let shown = overlay(&lower, &upper, &work, &target).unwrap();
            let is_right = root.join("new").exists() && !root.join("old").exists();
            mounted.wait();
            looked.wait();
            assert!(shown.is_some() && is_right);
        });
        mounted.wait();
        assert!(!root.join("new").exists(), "a mount has left its namespace");
        looked.wait();
    });
    let copy = dir.path().join("copy");
    copy_stack(layers.stack(), &made(&copy), &Cancel::new()).unwrap();
    assert!(copy.join("new").exists() && !copy.join("old").exists());
}

/// Where overlayfs does not take the file system of what is written: on an overlay, whose own names are taken.
#[test]
fn says_where_it_cannot_be() {
    if !disk::own_namespace(here!()) {
        return;
    }
    let dir = directory();
    let layers = three_layers(dir.path());
    let upper = dir.path().join("upper");
    let mounted = layers.mount(Some(&upper));
    let (upper, work, target) =
        (made(&mounted.0.join("upper")), made(&mounted.0.join("work")), made(&dir.path().join("target")));
    let lower = [Directory::open(&layers.path(0)).unwrap()];
    assert!(overlay(&lower, &upper, &work, &target).unwrap().is_none());
}
