//! What a registry answers is believed where it is a registry's answer: not what a page for browsers says, which lies before it,
//! and not what is about something else. And what is asked of it is asked several times at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::taker::{Does, Taker};
use super::{small, stored, with};
use crate::support::image::{Image, OCI_MANIFEST, digest, layer};
use crate::support::web::answer;

#[test]
fn what_no_registry_says_is_not_believed() {
    let (sandbox, name) = stored(&small(1));
    let other = digest(b"another one");
    let html = [("Content-Type", "text/html; charset=utf-8"), ("Location", "/x")];
    let page = answer("200 OK", &html, b"<html>Log in");
    let nothing = answer("200 OK", &[], b"{}");
    let wrong = answer("200 OK", &[("Content-Type", OCI_MANIFEST), ("Docker-Content-Digest", &other)], b"");
    for (kind, said, code, expected) in [
        ("HEAD blob", page.clone(), 5, "a page for browsers"),
        ("HEAD blob", wrong.clone(), 5, other.as_str()),
        ("HEAD manifest", wrong, 5, other.as_str()),
        ("POST upload", page.clone(), 5, "a page for browsers"),
        ("PUT upload", page.clone(), 5, "a page for browsers"),
        ("PUT upload", nothing.clone(), 1, "200 OK, and it does not have it then"),
        ("PUT upload", answer("206 Partial Content", &[], b""), 1, "which no registry says"),
        ("PUT manifest", page, 5, "a page for browsers"),
        ("PUT manifest", nothing, 1, "200 OK, and it does not have it then"),
        ("PUT manifest", answer("203 Non-Authoritative Information", &[], b""), 1, "which no registry says"),
    ] {
        let taker = Taker::new();
        let rule = said.clone();
        taker.rule(move |asked| if asked.kind() == kind { Does::Answer(rule.clone()) } else { Does::Pass });
        let error = sandbox.fail(["push", &name, &format!("{}/c", taker.address)], code);
        let said = String::from_utf8_lossy(&said);
        assert!(error.contains(expected), "{kind}: {said}: {error}");
        assert!(error.contains(&taker.address) && error.contains("/v2/c/"), "{kind}: {said}: {error}");
        assert_eq!(taker.manifest("c", "1"), None, "{kind}: {said}");
    }
}

#[test]
fn who_says_otherwise_that_it_has_it_is_believed() {
    let image = small(1);
    let (sandbox, name) = stored(&image);
    // Quay calls an empty answer HTML.
    let html = [("Content-Type", "text/html; charset=utf-8")];
    for said in [
        answer("200 OK", &[], b""),
        answer("201 Created", &html, b""),
        answer("202 Accepted", &html, b""),
        answer("204 No Content", &[], b""),
    ] {
        for kind in ["PUT upload", "PUT manifest"] {
            let taker = Taker::new();
            let rule = said.clone();
            taker.rule(move |asked| if asked.kind() == kind { Does::Lie(rule.clone()) } else { Does::Pass });
            sandbox.ok(["push", &name, &format!("{}/c", taker.address)]);
            assert_eq!(taker.manifest("c", "1").as_deref(), Some(image.root()), "{kind}");
        }
    }
}

#[test]
fn a_mount_of_another_blob_is_none() {
    let image = small(1);
    let (sandbox, name, taker) = with(&image);
    sandbox.ok(["push", &name, &format!("{}/c", taker.address)]);
    let other = digest(b"another one");
    taker.rule(move |asked| match asked.kind().as_str() {
        "POST mount" => {
            let headers = [("Location", "/x"), ("Docker-Content-Digest", other.as_str())];
            Does::Answer(answer("201 Created", &headers, b""))
        }
        _ => Does::Pass,
    });
    let pushed = &sandbox.json(["push", &name, &format!("{}/d", taker.address)])[0];
    assert_eq!((&pushed["mounted_blobs"], &pushed["sent_blobs"]), (&0.into(), &image.blobs().len().into()));
}

#[test]
fn manifests_are_asked_for_several_at_once() {
    let names: Vec<_> = (0..6).map(|at| format!("arch{at}")).collect();
    let images = names.iter().map(|name| {
        let image = Image::for_platform(name, &[layer("own", name.as_bytes())]);
        (name.as_str(), image)
    });
    let index = Image::index(&images.collect::<Vec<_>>());
    let (sandbox, name, taker) = with(&index);
    let (asked, is_time) = (AtomicUsize::new(0), Arc::new(AtomicBool::new(false)));
    let then = Arc::clone(&is_time);
    taker.rule(move |request| {
        if request.kind() != "HEAD manifest" || !request.path.contains("sha256:") {
            return Does::Pass;
        }
        // None is answered before there are three.
        if asked.fetch_add(1, Ordering::SeqCst) + 1 == 3 {
            then.store(true, Ordering::SeqCst);
        }
        Does::Until(Arc::clone(&then))
    });
    let place = format!("{}/c", taker.address);
    sandbox.ok(["push", "--jobs", "3", &name, &place]);
    assert_eq!(taker.manifest("c", "1").as_deref(), Some(index.root()));
    assert_eq!(taker.kinds().iter().filter(|kind| *kind == "HEAD manifest").count(), 8);
}

#[test]
fn a_destination_is_named_once() {
    let index = Image::index(&[("amd64", small(1)), ("arm64", small(2))]);
    let (sandbox, web) = (crate::support::Sandbox::in_memory(), crate::support::web::Web::new());
    let reference = web.put("a/b:1", &index);
    sandbox.ok(["pull", "--platform", "linux/amd64", "--name", "app:1", &reference]);
    let taker = Taker::new();
    let place = format!("{}/d:1", taker.address);
    let error = sandbox.fail(["push", "app:1", &place], 1);
    assert!(error.contains("lists what is neither stored here"), "{error}");
    assert_eq!(error.matches(&place).count(), 1, "{error}");
}
