//! `larder man`: the manual pages.

use std::path::PathBuf;

use clap::CommandFactory;
use larder_store::Error;

use crate::Cli;
use crate::cli::{Outcome, print};

/// Write the manual pages
///
/// Without --out the page of larder itself is printed: larder man | man -l -
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Write the pages of larder and of all its verbs into this directory
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

pub(super) fn run(args: &Args) -> Outcome {
    let Some(out) = &args.out else {
        let mut page = Vec::new();
        clap_mangen::Man::new(Cli::command()).render(&mut page)?;
        return print(&String::from_utf8_lossy(&page));
    };
    std::fs::create_dir_all(out).map_err(Error::io("create", out))?;
    Ok(clap_mangen::generate_to(Cli::command(), out).map_err(Error::io("write", out))?)
}
