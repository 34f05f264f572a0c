use std::cmp::Ordering;
use std::process::Command;

use proptest::prelude::*;

use super::*;

const ALL: [Rules; 6] = [Rules::Debian, Rules::Apk, Rules::Rpm, Rules::Pacman, Rules::Python, Rules::Semver];

/// Versions of one kind from old to new; between `=` are equals.
fn ascending(rules: Rules, row: &str) {
    let groups: Vec<Vec<&str>> = row
        .split_whitespace()
        .map(|group| group.split('=').filter(|word| !word.is_empty()).collect())
        .collect();
    for (i, left) in groups.iter().enumerate() {
        for (j, right) in groups.iter().enumerate() {
            for (a, b) in left.iter().flat_map(|a| right.iter().map(move |b| (a, b))) {
                assert_eq!(compare(rules, a, b), Some(i.cmp(&j)), "{rules:?}: {a} beside {b}");
            }
        }
    }
}

#[test]
fn each_kind_has_its_own_order() {
    // deb-version(7); the policy's own example is the first row.
    ascending(Rules::Debian, "1~~-1 1~~a-1 1~-1 1-1 1a-1");
    ascending(
        Rules::Debian,
        "1.0~rc1-1 1.0-1~deb12u1=01.0-1~deb12u1 1.0-1 1.0-1+b1 1.0-1.1 1.0+dfsg-1 1.0.1-1 1.10-1",
    );
    ascending(Rules::Debian, "1.2+a-1 1.2.3-1 1.2.a-1");
    // rpm's own manual and test suite.
    ascending(Rules::Rpm, "1.0~rc1-1 1.0~rc2-1 1.0-1=1.0-01 1.0^git1-1 1.0.1-1 2.0-1");
    ascending(Rules::Rpm, "1.0a-1 1.0.1-1 1.0.10-1 6.0.rc1-1 6.0.1-1");
    ascending(Rules::Rpm, "1.0-1 1.0-1.fc40 1.0-2.fc39");
    // vercmp(8).
    ascending(Rules::Pacman, "1.0a-1 1.0b-1 1.0beta-1 1.0p-1 1.0pre-1 1.0rc-1 1.0-1 1.0.a-1 1.0.1-1");
    ascending(Rules::Pacman, "1-1 1.0-1 1.1-1 1.1.1-1 1.2-1 2.0-1 3.0.0-1");
    // apk-package(5).
    ascending(
        Rules::Apk,
        "1.0_alpha-r0 1.0_beta2-r0 1.0_pre-r0 1.0_rc1-r0 1.0-r0 1.0-r1 1.0_git20240101-r0 1.0_p1-r0 1.0a-r0 1.0.1-r0 1.1-r0 1.10-r0 2-r0",
    );
    ascending(Rules::Apk, "1.01-r0 1.010-r0 1.02-r0 1.1-r0");
    // PEP 440, "Summary of permitted suffixes and relative ordering".
    ascending(
        Rules::Python,
        "1.dev0 1.0.dev456 1.0a1 1.0a2.dev456 1.0a12 1.0b1.dev456 1.0rc1 1.0=1 1.0.post456.dev34 1.0.post456 1.1.dev1 1!0.1",
    );
    ascending(Rules::Python, "1.0+abc.5 1.0+5=1+05 1.0+6");
    for rules in [Rules::Debian, Rules::Rpm, Rules::Pacman] {
        ascending(rules, "0:9.9-1 1:1.0-1 2:0.1-1 10:0.1-1");
    }
    // SemVer 2.0.0, 11.
    ascending(
        Rules::Semver,
        "1.0.0-alpha 1.0.0-alpha.1 1.0.0-alpha.beta 1.0.0-beta 1.0.0-beta.2 1.0.0-beta.11 1.0.0-rc.1 1.0.0=v1=1.0=1.0.0+5 2.1.0",
    );
}

#[test]
fn who_asks_need_not_know_what_a_distribution_put_around_it() {
    for (rules, have, asked, order) in [
        (Rules::Debian, "3.0.11-1~deb12u2", "3.0.14", Ordering::Less),
        (Rules::Debian, "3.0.11-1~deb12u2", "3.0.11", Ordering::Equal),
        (Rules::Debian, "3.0.14-1~deb12u2", "3.0.14", Ordering::Equal),
        (Rules::Debian, "2:9.0.1378-2", "9.1", Ordering::Less),
        (Rules::Debian, "2:9.0.1378-2", "1:9.1", Ordering::Greater),
        (Rules::Debian, "3.0.11-1~deb12u2", "3.0.11-1", Ordering::Less),
        (Rules::Rpm, "1:3.2.2-6.fc41", "3.2.4", Ordering::Less),
        (Rules::Rpm, "3.2.2-6.fc41", "3.2.2", Ordering::Equal),
        (Rules::Pacman, "3.4.0-1", "3.4.0", Ordering::Equal),
        (Rules::Apk, "3.3.2-r0", "3.3.2", Ordering::Equal),
        (Rules::Apk, "3.3.2-r0", "3.3.2-r1", Ordering::Less),
        (Rules::Semver, "4.17.20", "4.17", Ordering::Greater),
    ] {
        assert_eq!(compare(rules, have, asked), Some(order), "{have} beside {asked}");
    }
}

#[test]
fn what_is_no_version_has_no_order() {
    for (rules, no) in [
        (Rules::Debian, "a:1"),
        (Rules::Debian, ""),
        (Rules::Debian, "99999999999999999999:1"),
        (Rules::Apk, "1.0_what"),
        (Rules::Apk, "1..0"),
        (Rules::Apk, "v1"),
        (Rules::Python, "latest"),
        (Rules::Semver, "1.2.3.4"),
        (Rules::Semver, "file:../x"),
        (Rules::Semver, ""),
    ] {
        assert_eq!(compare(rules, no, "1.0"), None, "{no:?}");
        assert_eq!(compare(rules, "1.0", no), None, "{no:?}");
    }
}

/// dpkg is on every machine that builds this, and says the last word.
#[test]
fn dpkg_has_the_same_order() {
    let parts = [
        "1", "1.0", "1~rc1", "1+b", "1.a", "1.10", "2:1", "0:1.0", "1.0a", "01", "1.", "1~", "1~~", "1.+",
        "1-",
    ];
    let revisions = ["", "-1", "-1~", "-0ubuntu1", "-1+b2", "-01"];
    let versions: Vec<_> = parts
        .iter()
        .flat_map(|part| revisions.map(|revision| format!("{part}{revision}")))
        .filter(|v| !v.ends_with('-'))
        .collect();
    for a in &versions {
        // All in one shell: a process for each pair would take minutes.
        let script = versions.iter().map(|b| {
            format!("if dpkg --compare-versions '{a}' lt-nl '{b}'; then echo lt; elif dpkg --compare-versions '{a}' eq '{b}'; then echo eq; else echo gt; fi\n")
        });
        let said = Command::new("sh").arg("-c").arg(script.take(8).collect::<String>()).output().unwrap();
        let said = String::from_utf8(said.stdout).unwrap();
        for (b, said) in versions.iter().zip(said.lines()) {
            let (left, right) = (Revised::parse(a).unwrap(), Revised::parse(b).unwrap());
            // As dpkg has it: nothing left out is left out here.
            let order = left
                .epoch
                .unwrap_or(0)
                .cmp(&right.epoch.unwrap_or(0))
                .then_with(|| debian::compare(left.version, right.version))
                .then_with(|| debian::compare(left.revision.unwrap_or(""), right.revision.unwrap_or("")));
            let word = match order {
                Ordering::Less => "lt",
                Ordering::Equal => "eq",
                Ordering::Greater => "gt",
            };
            assert_eq!(word, said, "{a} beside {b}");
        }
    }
}

/// Versions of one kind, mostly such as it allows.
fn versions(rules: Rules) -> BoxedStrategy<String> {
    let pattern = match rules {
        Rules::Debian => {
            "([0-2]:)?[0-9]{1,2}([.][0-9]{1,2}|[a-c]|~|[+][a-c]|-[0-9]){0,4}(-[0-9a-b~+.]{1,4})?"
        }
        Rules::Rpm => "([0-2]:)?[0-9a-b]{1,2}([.][0-9]{1,2}|[a-c]|~|\\^|_|[+][a-c]){0,4}(-[0-9a-b~.]{1,4})?",
        Rules::Pacman => "([0-2]:)?[0-9]{1,2}([.][0-9]{1,2}|[a-c]|_|[+][a-c]|[.]){0,4}(-[0-9]([.][0-9])?)?",
        Rules::Apk => {
            "[0-9]{1,2}([.]0?[0-9]{1,2}){0,3}[a-c]?(_(alpha|beta|pre|rc|cvs|svn|git|hg|p)[0-9]?){0,2}(~[0-9a-f]{1,3})?(-r[0-9])?"
        }
        Rules::Python => {
            "([0-1]!)?[0-9]{1,2}([.][0-9]{1,2}){0,2}((a|b|rc)[0-9])?([.]post[0-9])?([.]dev[0-9])?([+][a-b0-9]([.][0-9a])?)?"
        }
        Rules::Semver => {
            "v?[0-9]{1,2}([.][0-9]{1,2}){0,2}(-[0-9a-b]{1,2}([.][1-9a-b]{1,2}){0,2})?([+][a-b0-9])?"
        }
    };
    pattern.boxed()
}

/// Three versions of one kind.
fn three() -> BoxedStrategy<(Rules, [String; 3])> {
    let three = |rules: Rules| [(); 3].map(|()| versions(rules)).prop_map(move |three| (rules, three));
    proptest::sample::select(&ALL[..]).prop_flat_map(three).boxed()
}

#[test]
fn what_is_asked_without_a_local_part_is_compared_without_one() {
    // As packaging's SpecifierSet has it for torch's builds.
    assert_eq!(compare(Rules::Python, "2.1.0+cu118", "2.1.0"), Some(Ordering::Equal));
    assert_eq!(compare(Rules::Python, "2.1.0+cu118", "2.1.0+cu121"), Some(Ordering::Less));
    assert_eq!(compare(Rules::Python, "2.1.0", "2.1.0+cu118"), Some(Ordering::Less));
    assert_eq!(order(Rules::Python, "2.1.0+cu118", "2.1.0"), Some(Ordering::Greater));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    /// What a difference relies on is an order: antisymmetric, and transitive.
    #[test]
    fn each_order_is_one((rules, [a, b, c]) in three()) {
        let order = |a: &str, b: &str| order(rules, a, b);
        prop_assert_eq!(order(&a, &a).unwrap_or(Ordering::Equal), Ordering::Equal);
        prop_assert_eq!(order(&a, &b), order(&b, &a).map(Ordering::reverse));
        let (Some(ab), Some(bc), Some(ac)) = (order(&a, &b), order(&b, &c), order(&a, &c)) else {
            return Ok(());
        };
        if ab == bc || bc.is_eq() {
            prop_assert_eq!(ac, ab, "{:?}: {} {} {}", rules, a, b, c);
        } else if ab.is_eq() {
            prop_assert_eq!(ac, bc, "{:?}: {} {} {}", rules, a, b, c);
        }
    }

    #[test]
    fn nothing_panics_and_turning_round_turns_the_order(
        a in "[0-9a-c:.~^+_r-]{0,12}", b in "[0-9a-c:.~^+_r-]{0,12}"
    ) {
        for rules in ALL {
            let _ = compare(rules, &a, &b);
            prop_assert_eq!(order(rules, &a, &b), order(rules, &b, &a).map(Ordering::reverse));
        }
    }
}
