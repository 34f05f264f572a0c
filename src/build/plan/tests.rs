use std::collections::BTreeMap;

use super::*;
use crate::build::dockerfile;

fn planned(text: &str, target: Option<&str>, args: &[(&str, &str)]) -> Result<Plan, Vec<String>> {
    let args = args.iter().map(|(name, value)| (name.to_string(), value.to_string()));
    let given = Given::new(args.collect::<BTreeMap<_, _>>(), "linux/arm64/v8");
    plan(&dockerfile::parse(text).unwrap(), target, given)
        .map_err(|problems| problems.iter().map(|problem| problem.of("Dockerfile")).collect())
}

/// Numbers and bases of the stages that are needed.
fn stages(plan: &Plan) -> Vec<(usize, Base)> {
    plan.stages.iter().map(|stage| (stage.number, stage.base.clone())).collect()
}

fn image(name: &str) -> Base {
    Base::Image(name.to_owned())
}

const MANY: &str = "FROM debian AS Base
FROM base AS build
RUN x
FROM scratch AS lint
COPY --from=build /x /
FROM alpine AS alpine
COPY --from=0 /a /
COPY --from=BUILD /x /
COPY --from=docker.io/library/busybox:1 /bin /
FROM lint AS last
";

#[test]
fn only_what_the_target_needs_is_planned() {
    for (target, expected) in [
        (None, vec![(0, image("debian")), (1, Base::Stage(0)), (2, Base::Scratch), (4, Base::Stage(2))]),
        (Some("ALPINE"), vec![(0, image("debian")), (1, Base::Stage(0)), (3, image("alpine"))]),
        (Some("0"), vec![(0, image("debian"))]),
        (Some("build"), vec![(0, image("debian")), (1, Base::Stage(0))]),
    ] {
        assert_eq!(stages(&planned(MANY, target, &[]).unwrap()), expected, "{target:?}");
    }
    for wrong in ["5", "none", ""] {
        let problems = planned(MANY, Some(wrong), &[]).unwrap_err();
        let said = format!(
            "Dockerfile: --target {wrong}: there is no such stage; they are numbered from 0 to 4; named are base, build, lint, alpine, last"
        );
        assert_eq!(problems, [said]);
    }
}

#[test]
fn copy_reads_from_stages_before_and_from_images() {
    let plan = planned(MANY, Some("alpine"), &[]).unwrap();
    let steps = &plan.stages[2].steps;
    let origins: Vec<_> = steps.iter().map(|step| plan.origin(3, step).unwrap().unwrap()).collect();
    let busybox = Origin::Image("docker.io/library/busybox:1".to_owned());
    assert_eq!(origins, [Origin::Stage(0), Origin::Stage(1), busybox]);
    // A base image's trigger comes after the plan: what it reads may have been left out.
    let trigger = dockerfile::trigger(1, "COPY --from=2 /x /").unwrap();
    let problem = plan.origin(3, &trigger).unwrap_err();
    assert!(problem.to_string().contains("a stage that nothing else needs"), "{problem}");
}

#[test]
fn what_cannot_be_copied_from_is_told_at_once() {
    let text = "FROM scratch AS a
COPY --from=a x /
COPY --from=1 x /
COPY --from=B x /
COPY --from=7 x /
COPY --from= x /
COPY --from=$X x /
FROM scratch AS b
ENV A='
";
    assert_eq!(
        planned(text, None, &[]).unwrap_err(),
        [
            "Dockerfile:2: COPY --from=a: a stage cannot copy from itself",
            "Dockerfile:3: COPY --from=1: that stage comes later, on line 8",
            "Dockerfile:4: COPY --from=B: that stage comes later, on line 8",
            "Dockerfile:5: COPY --from=7: stages are numbered from 0 to 1",
            "Dockerfile:6: COPY --from=: the stage or image is missing",
            "Dockerfile:7: COPY --from=$X: variables are not expanded here",
            "Dockerfile:9: ENV: a single quote has no end",
        ]
    );
}

#[test]
fn from_knows_the_arguments_before_it_and_the_platform() {
    let text = "ARG TAG=12
ARG IMAGE=debian:${TAG}
ARG EMPTY
FROM --platform=$BUILDPLATFORM ${IMAGE}-slim AS one
ARG TAG
FROM --platform=${EMPTY} x-${TARGETARCH}${TARGETVARIANT}-${TARGETOS}
COPY --from=one / /
";
    let plan =
        planned(text, None, &[("TAG", "13"), ("UNKNOWN", "1"), ("http_proxy", "p"), ("TARGETOS", "bsd")]);
    let plan = plan.unwrap();
    assert_eq!(stages(&plan), [(0, image("debian:13-slim")), (1, image("x-arm64v8-bsd"))]);
    let platforms: Vec<_> = plan.stages.iter().map(|stage| stage.platform.as_deref()).collect();
    assert_eq!(platforms, [Some("linux/arm64/v8"), None]);
    assert_eq!(plan.unused, ["UNKNOWN"]);
    for (text, why) in [
        ("FROM $NONE", "Dockerfile:1: FROM $NONE: no image is left of it"),
        ("FROM a${x", "Dockerfile:1: FROM a${x: } is missing after ${x"),
        ("ARG A=\"${B:?say it}\"\nFROM $A", "Dockerfile:1: ARG A: B: say it"),
        // What a stage declares, or its environment, is nothing to the next FROM.
        ("FROM scratch\nARG A=x\nENV A=x\nFROM $A", "Dockerfile:4: FROM $A: no image is left of it"),
    ] {
        assert_eq!(planned(text, None, &[]).unwrap_err(), [why], "{text}");
    }
}

#[test]
fn an_image_may_have_the_name_of_its_stage_or_of_a_later_one() {
    let plan = planned("FROM b AS a\nFROM a AS b\n", None, &[]).unwrap();
    assert_eq!(stages(&plan), [(0, image("b")), (1, Base::Stage(0))]);
}
