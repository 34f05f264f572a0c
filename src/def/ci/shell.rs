//! What the steps of all pipelines say to a POSIX shell that ends at the first failure. Pure.

use super::jobs::Job;

/// Says where larder comes from, where it is missing.
pub(super) const LOOK: &str = r#"command -v larder >/dev/null || {
  echo 'larder is not on the PATH of this runner; its README.md says how to install it (cargo install --path . --locked)' >&2
  exit 1
}
larder --version
"#;

/// Looks for the directory that the first job made.
pub(super) const FIND: &str = r#"[ -d "$HANDOVER" ] || {
  echo "the directory of this run, ${HANDOVER:-which the job begin makes}, is not here: all jobs need one machine and one user, and a run that has ended is run again as a whole" >&2
  exit 1
}
"#;

/// Makes the directory of a run, which nobody else has; `run` tells people which run it is.
pub(super) fn begin(run: &str) -> String {
    format!(
        r#"base=${{LARDER_HANDOVER:-$HOME/.cache/larder-handover}}
mkdir -p "$base"
directory=$(mktemp -d "$base/run-{run}-XXXXXXXX")
"#
    )
}

/// Removes the directory of this run.
pub(super) const END: &str = r#"if [ -n "$HANDOVER" ]; then rm -rf -- "$HANDOVER"; fi
"#;

/// Brings an archive in, if it is the one that was told.
pub(super) fn import(directory: &str, job: &Job, told: &str) -> String {
    format!("larder import \"{directory}/{}.tar\" --expect \"{told}\"\n", job.id)
}

/// Builds and tests all tags of a name, of what is in the store.
pub(super) fn build(folder: &[String], name: &str) -> [String; 2] {
    let name = [name.to_owned()];
    let run = |verb: &[&str]| {
        let all: Vec<_> = verb
            .iter()
            .map(|word| (*word).to_owned())
            .chain(folder.iter().cloned())
            .chain(name.clone())
            .collect();
        words(&all) + "\n"
    };
    [run(&["larder", "def", "build", "--only"]), run(&["larder", "def", "test"])]
}

/// Writes the archive, which has its name only when it is whole, and has what it holds in `images`: NAME:TAG@DIGEST, with commas.
pub(super) fn export(directory: &str, job: &Job) -> String {
    let mut text = format!("images=$(larder export -o \"{directory}/{}.tar\"", job.id);
    for reference in &job.references {
        text.push_str(" \\\n  ");
        text.push_str(&word(reference));
    }
    text.push_str(")\nprintf '%s\\n' \"$images\"\nimages=$(printf '%s' \"$images\" | tr '\\n' ',')\n");
    text
}

/// Makes the directory of a job's archives.
pub(super) fn make(directory: &str) -> String {
    format!("mkdir -p \"{directory}\"\n")
}

/// Words of a command line.
pub(super) fn words(words: &[String]) -> String {
    words.iter().map(|text| word(text)).collect::<Vec<_>>().join(" ")
}

/// One word, quoted where a shell would make anything else of it.
pub(super) fn word(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@=,+".contains(c);
    match !text.is_empty() && text.chars().all(is_plain) {
        true => text.to_owned(),
        false => format!("'{}'", text.replace('\'', r"'\''")),
    }
}
