//! `larder completions`: what a shell completes.

use clap::CommandFactory;
use clap_complete::Shell;

use crate::Cli;
use crate::cli::{Outcome, print};

/// Print a completion script for a shell
///
/// For bash: larder completions bash > /etc/bash_completion.d/larder
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Which shell
    shell: Shell,
}

pub(super) fn run(args: &Args) -> Outcome {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "larder", &mut script);
    print(&String::from_utf8_lossy(&script))
}
