use super::*;

fn report() -> Report {
    let failed = Tested {
        stdout: "a\u{1b}[2J<b>\n".into(),
        duration: Duration::from_millis(1500),
        ..Tested::of("Command Test: \"x\" \u{202e}\u{9b}".into(), vec!["wrong & bad".into(), "worse".into()])
    };
    let skipped = Tested::skipped("Command Test: y".into(), "no container runtime".into());
    let tests = vec![Tested::of("Metadata Test".into(), Vec::new()), failed, skipped];
    Report { suites: vec![Suite { image: "gcc:1".into(), file: "test.yml".into(), tests }] }
}

#[test]
fn junit_is_what_ci_systems_read_and_nothing_in_it_acts() {
    let xml = junit(&report());
    assert_eq!(
        xml,
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <testsuites failures=\"1\" tests=\"3\" skipped=\"1\" time=\"1.5\">\n\
         <testsuite name=\"gcc:1 test.yml\" tests=\"3\" failures=\"1\" skipped=\"1\">\n\
         <testcase name=\"Metadata Test\" classname=\"gcc:1 test.yml\" time=\"0\"></testcase>\n\
         <testcase name=\"Command Test: &#34;x&#34; &#8238;&#155;\" classname=\"gcc:1 test.yml\" time=\"1.5\">\
         <failure>wrong &amp; bad</failure><failure>worse</failure>\
         <system-out>a\u{fffd}[2J&lt;b&gt;&#10;</system-out></testcase>\n\
         <testcase name=\"Command Test: y\" classname=\"gcc:1 test.yml\" time=\"0\">\
         <skipped message=\"no container runtime\"/></testcase>\n\
         </testsuite>\n</testsuites>\n"
    );
}

#[test]
fn json_has_the_fields_of_container_structure_test() {
    let json = report().json();
    assert_eq!(
        (&json["Pass"], &json["Fail"], &json["Skip"], &json["Total"]),
        (&1.into(), &1.into(), &1.into(), &3.into())
    );
    assert_eq!(json["Duration"], 1_500_000_000_u64);
    let names: Vec<_> =
        json["Results"].as_array().expect("a list").iter().map(|one| one["Pass"].clone()).collect();
    assert_eq!(names, [true, false, false]);
    assert_eq!(json["Results"][1]["Errors"][1], "worse");
    assert_eq!(json["Results"][2]["Skipped"], "no container runtime");
}
