//! `--plain-http`: a host that is not on this machine is asked without TLS only where that is meant. `0.0.0.0` stands for such a host.

use super::small;
use super::sync_pair::Pair;

fn port(address: &str) -> &str {
    address.rsplit(':').next().unwrap()
}

#[test]
fn it_holds_for_the_hosts_that_it_names() {
    let pair = Pair::of(&["1"]);
    let (from, to) =
        (format!("0.0.0.0:{}", port(&pair.web.address)), format!("0.0.0.0:{}", port(&pair.taker.address)));
    let reference = format!("{from}/a/b:1");
    let no_tls = "does not speak TLS";
    for flags in ["", &format!("--plain-http={to}"), "--plain-http=0.0.0.0"] {
        let flags = Some(flags).filter(|flag| !flag.is_empty());
        let said = pair.sandbox.fail(["pull", &reference].into_iter().chain(flags), 1);
        assert!(said.contains(no_tls), "{said}");
    }
    for flag in ["--plain-http", &format!("--plain-http={from}")] {
        pair.sandbox.ok(["pull", flag, &reference]);
    }
    let said = pair.sandbox.fail(["pull", "--plain-http=a/b", &reference], 2);
    assert!(said.contains("HOST[:PORT]"), "{said}");
    pair.sandbox.fail(["push", &reference, &format!("{to}/x:1"), &format!("--plain-http={from}")], 1);
    pair.sandbox.ok(["push", &reference, &format!("{to}/x:1"), &format!("--plain-http={to}")]);
    let said = pair.sandbox.fail(["verify", "--plain-http"], 2);
    assert!(said.contains("--repair"), "{said}");
}

#[test]
fn of_two_sides_of_a_sync_it_is_said_which() {
    let pair = Pair::of(&["1"]);
    let (from, to) =
        (format!("0.0.0.0:{}", port(&pair.web.address)), format!("0.0.0.0:{}", port(&pair.taker.address)));
    let text = format!("- {{registry: '{from}', repository: a/b, tags: [1], to: '{to}/m/b'}}\n");
    std::fs::write(pair.sandbox.path("sync.yml"), text).unwrap();
    let said = pair.sandbox.fail(["sync", "sync.yml", "--plain-http"], 2);
    assert!(said.contains(&format!("{from}, {to}")) && said.contains("--plain-http=HOST"), "{said}");
    // The one is asked so, and not the other one.
    let (from_plain, to_plain) = (format!("--plain-http={from}"), format!("--plain-http={to}"));
    for (flag, other) in [(&from_plain, &to), (&to_plain, &from)] {
        let said = pair.sandbox.fail(["sync", "sync.yml", flag], 1);
        assert!(said.contains(&format!("{other}: HEAD")) && said.contains("does not speak TLS"), "{said}");
    }
    pair.sandbox.ok(["sync", "sync.yml", &from_plain, &to_plain]);
    assert_eq!(pair.taker.manifest("m/b", "1").as_deref(), Some(small(0).root()));
    // Where there is but one it is that one.
    let text =
        format!("- {{registry: '{from}', repository: a/b, tags: [1], to: '{}/m/c'}}\n", pair.taker.address);
    std::fs::write(pair.sandbox.path("sync.yml"), text).unwrap();
    pair.sandbox.ok(["sync", "sync.yml", "--plain-http"]);
    assert_eq!(pair.taker.manifest("m/c", "1").as_deref(), Some(small(0).root()));
}
