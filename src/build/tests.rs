//! The parts together: a Dockerfile's text up to the config of its image.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::args::Given;
use super::dockerfile;
use super::plan::plan;
use super::state::State;

proptest! {
    /// Words that mean something, in any order, so that many texts are read far.
    #[test]
    fn no_text_panics(words in proptest::collection::vec(
        prop::sample::select(vec![
            "FROM", "scratch", "AS", "a", "RUN", "COPY", "--from=a", "--chown=1", "ADD", "ENV", "x=y", "$x", "${x:-", "}", "ARG",
            "LABEL", "\"", "'", "\\", "\n", "\n", "\n", " ", "<<EOF", "<<-'E'", "EOF", "E", "[", "]", "\"a\"", ",", "HEALTHCHECK",
            "CMD", "NONE", "--interval=1s", "ENTRYPOINT", "ONBUILD", "SHELL", "USER", "WORKDIR", "/", "VOLUME", "EXPOSE", "80/tcp",
            "STOPSIGNAL", "MAINTAINER", "#", "# escape=`", "# syntax=x", "`", "\r\n", "\u{e4}", "\t", "--", "=", "<<", "--mount=x",
        ]), 0..40), blanks in any::<bool>())
    {
        let text = words.join(if blanks { " " } else { "" });
        let Ok(dockerfile) = dockerfile::parse(&text) else { return Ok(()) };
        let Ok(plan) = plan(&dockerfile, None, Given::new(BTreeMap::new(), "linux/amd64")) else { return Ok(()) };
        for stage in &plan.stages {
            let mut state = State::scratch("linux/amd64");
            for step in &stage.steps {
                let before = state.clone();
                if state.step(step, &plan.globals, plan.escape).is_err() {
                    prop_assert_eq!(&state, &before);
                }
            }
        }
    }

    #[test]
    fn no_characters_panic(text in "[\\PC\n\t\\\\]{0,80}") {
        let _ = dockerfile::parse(&text);
        let _ = dockerfile::parse(&format!("FROM scratch\nRUN {text}"));
        let _ = dockerfile::parse(&format!("FROM scratch\nCOPY {text}"));
        let _ = dockerfile::parse(&format!("# {text}\nFROM scratch"));
    }
}
