//! `--plain-http`: hosts that are asked without TLS.

use crate::cli::{Outcome, fail};
use crate::registry::access::{self, is_host};

/// Hosts that are asked without TLS.
#[derive(Debug, Clone, Default, clap::Args)]
pub(super) struct PlainHttp {
    /// Ask HOST without TLS, or all hosts that are asked for (loopback hosts may be asked so anyway); who listens in on the network reads
    /// and changes everything
    #[arg(
        long,
        value_name = "HOST[:PORT]",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "",
        value_parser = host
    )]
    plain_http: Vec<String>,
}

fn host(text: &str) -> Result<String, String> {
    match text.is_empty() || is_host(text) {
        true => Ok(text.to_owned()),
        false => Err("is not HOST[:PORT], such as registry.example.com:5000".to_owned()),
    }
}

impl PlainHttp {
    /// Whether it was said at all.
    pub(super) fn is_given(&self) -> bool {
        !self.plain_http.is_empty()
    }

    /// Which hosts are meant.
    pub(super) fn hosts(&self) -> access::PlainHttp {
        match &self.plain_http[..] {
            [] => access::PlainHttp::None,
            some if some.iter().any(String::is_empty) => access::PlainHttp::All,
            some => access::PlainHttp::These(some.to_vec()),
        }
    }

    /// Refuses to ask all of several hosts so that nobody has named with it.
    pub(super) fn check(&self, hosts: &[&str]) -> Outcome {
        if self.hosts() != access::PlainHttp::All || hosts.len() < 2 {
            return Ok(());
        }
        let why = format!("--plain-http does not say which host is asked without TLS: {}", hosts.join(", "));
        let hint = "--plain-http=HOST names one, and may be given more than once";
        Err(fail(why).with_hint(hint).usage())
    }
}
