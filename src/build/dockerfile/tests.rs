use std::time::Duration;

use super::*;

/// The instructions of a stage with these lines.
fn steps(lines: &str) -> Vec<Instruction> {
    let dockerfile = parse(&format!("FROM scratch\n{lines}"));
    let mut dockerfile = dockerfile.unwrap_or_else(|problems| panic!("{lines}: {problems:?}"));
    dockerfile.stages.pop().unwrap().steps.into_iter().map(|step| step.instruction).collect()
}

fn step(line: &str) -> Instruction {
    let [step] = <[_; 1]>::try_from(steps(line)).unwrap();
    step
}

fn shell(text: &str) -> Command {
    Command::Shell(text.to_owned())
}

fn exec(words: &[&str]) -> Command {
    Command::Exec(words.iter().map(|word| word.to_string()).collect())
}

fn told(text: &str) -> Vec<String> {
    parse(text).unwrap_err().iter().map(|problem| problem.of("D")).collect()
}

#[test]
fn commands_are_texts_or_lists() {
    for (line, expected) in [
        ("RUN a  b", shell("a  b")),
        ("run \\\n  a \\\n\n # c\n\t b # d", shell("a \t b # d")),
        ("RUN [\"a\", \"b\\n\\u00e4\"]", exec(&["a", "b\nä"])),
        ("RUN [ -e x ] || y", shell("[ -e x ] || y")),
        ("RUN [\"a\"", shell("[\"a\"")),
        ("RUN test [1]", shell("test [1]")),
        ("RUN [1] && x", shell("[1] && x")),
        ("RUN ['a']", shell("['a']")),
        ("RUN [[ a ]]", shell("[[ a ]]")),
        ("RUN echo $((1 << 2)) $((x<<=1)) $((1<<2))", shell("echo $((1 << 2)) $((x<<=1)) $((1<<2))")),
        ("RUN cat <<< x", shell("cat <<< x")),
        ("RUN echo \"<<E\" \\<<E '<<E", shell("echo \"<<E\" \\<<E '<<E")),
        ("RUN a\\\\\nRUN b", shell("a\\\\")),
    ] {
        assert_eq!(steps(line)[0], Instruction::Run(Run::Command(expected)), "{line}");
    }
    assert_eq!(step("ENTRYPOINT [ ]"), Instruction::Entrypoint(exec(&[])));
    assert_eq!(step("CMD []"), Instruction::Cmd(exec(&[])));
    assert_eq!(step("ENV A=[1]"), Instruction::Env(vec![("A".to_owned(), "[1]".to_owned())]));
    assert_eq!(step("CMD"), Instruction::Cmd(shell("")));
}

#[test]
fn heredocs_are_scripts_files_and_what_the_shell_makes_of_them() {
    let run = |text| match step(text) {
        Instruction::Run(run) => run,
        other => panic!("{other:?}"),
    };
    assert_eq!(
        run("RUN <<EOF\na\n  # no comment\n\nb \\\nEOF"),
        Run::Command(shell("a\n  # no comment\n\nb \\\n"))
    );
    assert_eq!(run("RUN <<-'E F'\n\ta\n\tE F\n"), Run::Command(shell("a\n")));
    assert_eq!(
        run("RUN <<EOF\n#!/usr/bin/python3\nx\nEOF"),
        Run::Script { name: "EOF".to_owned(), content: "#!/usr/bin/python3\nx\n".to_owned() }
    );
    assert_eq!(
        run("RUN cat <<A >x && \\\n cat 3<<\"B\" >y\n1\nA\n2\nB\n"),
        Run::Command(shell("cat <<A >x &&  cat 3<<\"B\" >y\n1\nA\n2\nB"))
    );
    let [Instruction::Copy(copy), Instruction::User(_)] =
        &steps("COPY --chmod=755 f <<A <<-\"B\" /d/\n$x\nA\n\tUSER y\n\tB\nUSER x")[..]
    else {
        panic!("a COPY and a USER");
    };
    let heredoc = |name: &str, expand, content: &str| HereDoc {
        name: name.to_owned(),
        expand,
        content: content.to_owned(),
    };
    assert_eq!(
        *copy,
        Copy {
            chmod: Some("755".to_owned()),
            sources: vec!["f".to_owned()],
            heredocs: vec![heredoc("A", true, "$x\n"), heredoc("B", false, "USER y\n")],
            destination: "/d/".to_owned(),
            ..Copy::default()
        }
    );
    assert_eq!(
        told("FROM scratch\nRUN <<EOF\nFROM x\n"),
        ["D:2: a heredoc without an end: no line is \"EOF\" alone"]
    );
}

#[test]
fn a_heredocs_word_is_the_name_of_a_file_in_no_directory() {
    let Instruction::Copy(copy) = step("COPY <<//EOF.txt /d/\nx\n//EOF.txt") else { panic!("a COPY") };
    assert_eq!(copy.heredocs[0].name, "EOF.txt");
    for word in ["a/b", "../a", "a/", "..", ".", "/", "\"\""] {
        let end = word.trim_matches('"');
        for line in ["COPY", "ADD", "RUN"] {
            let body = if line == "RUN" { "#!/bin/sh" } else { "x" };
            let to = if line == "RUN" { "" } else { " /d/" };
            let says = format!("D:2: <<{end}: a heredoc's word is the name of its file, and this is none");
            assert_eq!(told(&format!("FROM scratch\n{line} <<{word}{to}\n{body}\n{end}\n")), [says]);
        }
        // The shell makes no file of that name.
        steps(&format!("RUN cat <<{word}\nx\n{end}\n"));
    }
}

#[test]
fn copy_has_flags_words_and_lists() {
    let expected = Copy {
        from: Some("a".to_owned()),
        chown: Some("x y:1".to_owned()),
        sources: vec!["b c".to_owned(), "d".to_owned()],
        destination: "/e f".to_owned(),
        ..Copy::default()
    };
    let lines = "COPY --from=a --chown=\"x\\ y\":1 [\"b c\", \"d\", \"/e f\"]";
    // A blank in a flag's quotes is more than the crate splits rightly, and refused rather than misread.
    assert_eq!(told(&format!("FROM x\n{lines}")).len(), 1);
    let lines = lines.replace("\"x\\ y\":1", "'x':1");
    assert_eq!(step(&lines), Instruction::Copy(Copy { chown: Some("x:1".to_owned()), ..expected }));
    let add = Copy { sources: vec!["a*".to_owned()], destination: ".".to_owned(), ..Copy::default() };
    assert_eq!(step("ADD a* ."), Instruction::Add(add));
}

#[test]
fn health_checks_have_their_times() {
    let line = "HEALTHCHECK --interval=1m --timeout=2s --start-period=3s --start-interval=4s --retries=5 CMD [\"a\"]";
    let [interval, timeout, start_period, start_interval] = [60, 2, 3, 4].map(Duration::from_secs);
    let check = HealthCheck::Test {
        command: exec(&["a"]),
        interval,
        timeout,
        start_period,
        start_interval,
        retries: 5,
    };
    assert_eq!(step(line), Instruction::HealthCheck(check));
    assert_eq!(step("HEALTHCHECK none"), Instruction::HealthCheck(HealthCheck::None));
}

#[test]
fn directives_are_read_at_the_head_only() {
    for (text, escape) in [
        ("# escape=`\nFROM x", '`'),
        ("#syntax=docker/dockerfile:1.7-labs\n# escape = `\n\nFROM x", '`'),
        ("\u{feff}# syntax=docker.io/docker/dockerfile:1\nFROM x", '\\'),
        ("# a comment\n# escape=`\n# syntax=other\nFROM x", '\\'),
        ("\n# syntax=other\nFROM x", '\\'),
    ] {
        assert_eq!(parse(text).map(|read| read.escape), Ok(escape), "{text:?}");
    }
    assert_eq!(told("# escape=x\nFROM x"), ["D:1: a directive: invalid escape 'x'"]);
    assert_eq!(
        told("# escape=`\n# syntax=me/mine:1\nFROM x"),
        ["D:2: # syntax=me/mine:1: no other frontend is run"]
    );
}

#[test]
fn stages_and_global_arguments() {
    let read = parse("ARG A=1 B\nFROM --platform=linux/arm64 debian as Build-1.x\nARG C\nFROM x").unwrap();
    assert_eq!(read.globals, [(1, "A".to_owned(), Some("1".to_owned())), (1, "B".to_owned(), None)]);
    let froms: Vec<_> = read.stages.iter().map(|stage| stage.from.clone()).collect();
    let from = |line, base: &str| From { line, base: base.to_owned(), platform: None, name: None };
    let platform = Some("linux/arm64".to_owned());
    let first = From { platform, name: Some("build-1.x".to_owned()), ..from(2, "debian") };
    assert_eq!(froms, [first, from(4, "x")]);
    assert_eq!(read.stages[0].steps[0].text, "ARG C");
}

/// Each with the place, and all at once.
#[test]
fn what_is_wrong_is_told_line_by_line() {
    let text = "RUN early
FROM a AS x
FRM b
RUN
COPY a
COPY --link a b
RUN --mount=type=cache,target=/x \\
  apt update
RUN --network=none a
ADD https://example.com/x.tar /x
ADD git@example.com:a/b /x
ADD --from=x a b
HEALTHCHECK
HEALTHCHECK CMD
HEALTHCHECK --interval=1 CMD x
HEALTHCHECK --interval=5us CMD x
HEALTHCHECK --retries=0 CMD x
HEALTHCHECK --retries=1 NONE
ENV a
ENV a=b c
ENV =b
LABEL
ARG =x
SHELL /bin/sh
SHELL []
CMD [1]
VOLUME []
COPY --chown a b
COPY --chown=a --chown=b a b
COPY --owner=a a b
ONBUILD ONBUILD RUN x
ONBUILD FROM x
ONBUILD MAINTAINER x
ONBUILD RUN --mount=type=bind x
ONBUILD RUN <<E
x
E
FROM b AS X
FROM b AS 1x
FROM
FROM a b
ONBUILD
COPY HTTP://x y
";
    let lines: Vec<_> = told(text);
    let expected = [
        "D:1: RUN: there is no FROM before it",
        "D:3: FRM: no such instruction",
        "D:4: RUN: its command is missing",
        "D:5: COPY: COPY instruction requires at least two arguments",
        "D:6: COPY --link: this is not supported",
        "D:7: RUN --mount: this is not supported",
        "D:9: RUN --network: this is not supported",
        "D:10: ADD https://example.com/x.tar: a URL is not supported",
        "D:11: ADD git@example.com:a/b: a URL is not supported",
        "D:12: ADD --from: this is not supported",
        "D:13: HEALTHCHECK: expected CMD or NONE",
        "D:14: HEALTHCHECK: its command is missing",
        "D:15: HEALTHCHECK: --interval=1 is no duration such as 1m30s",
        "D:16: HEALTHCHECK: --interval=5us is less than 1ms",
        "D:17: HEALTHCHECK: --retries=0 is no number from 1",
        "D:18: HEALTHCHECK --retries: HEALTHCHECK has no such flag",
        "D:19: ENV: ENV needs a name and a value: ENV name=value",
        "D:20: ENV: there is no = in \"c\"",
        "D:21: ENV: a name is empty",
        "D:22: LABEL: LABEL instruction requires at least one argument",
        "D:23: ARG: a name is empty",
        "D:24: SHELL: expected JSON array",
        "D:25: SHELL: SHELL instruction requires at least one argument",
        "D:26: CMD: a list in [] has strings only",
        "D:27: VOLUME: VOLUME needs at least one argument",
        "D:28: COPY --chown: its value is missing",
        "D:29: COPY --chown: it is there twice",
        "D:30: COPY --owner: COPY has no such flag",
        "D:31: ONBUILD ONBUILD: Docker allows no such trigger",
        "D:32: ONBUILD FROM: Docker allows no such trigger",
        "D:33: ONBUILD MAINTAINER: Docker allows no such trigger",
        "D:34: RUN --mount: this is not supported",
        "D:35: ONBUILD RUN: a heredoc in ONBUILD is not supported",
        "D:38: FROM … AS x: line 2 has a stage of this name",
        "D:39: FROM … AS 1x: a name begins with a letter, and has letters, digits, - _ . only",
        "D:40: FROM: FROM instruction requires at least one argument",
        "D:41: FROM: expected AS",
        "D:42: ONBUILD: its instruction is missing",
        "D:43: COPY HTTP://x: a URL is not supported",
    ];
    for (line, expected) in lines.iter().zip(expected) {
        assert_eq!(line, expected);
    }
    assert_eq!(lines.len(), expected.len());
    assert_eq!(told("# nothing\n"), ["D: no FROM: an image is made from another, or from scratch"]);
    assert_eq!(told("ARG A\n"), ["D: no FROM: an image is made from another, or from scratch"]);
}

/// What is not supported says what to do instead.
#[test]
fn refusals_have_hints() {
    for line in [
        "RUN --mount=type=secret x",
        "RUN --security=insecure x",
        "COPY --parents a b",
        "ADD --exclude=a b c",
        "ADD ssh://x/y z",
        "NOPE",
        "ONBUILD RUN <<E\nE",
    ] {
        let problems = parse(&format!("FROM x\n{line}")).unwrap_err();
        assert_eq!(problems.len(), 1, "{line}: {problems:?}");
        assert!(problems[0].hint().is_some(), "{line}");
    }
}
