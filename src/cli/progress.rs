//! Progress bars: on a terminal for what takes a while, silent in a pipe.

use std::fmt::Write;
use std::sync::Mutex;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use larder_store::progress::Event;

use super::human;

/// Below this many columns there is no room for a bar and a rate.
const NARROW: u16 = 64;
/// Columns for the name of the work.
const NAME: usize = 30;

/// A bar on stderr; it is gone when this is dropped.
pub(crate) struct Bar {
    bar: ProgressBar,
    spared: Mutex<u64>,
}

impl Bar {
    /// A bar for one piece of work, which has not said yet how long it is.
    pub(crate) fn new(what: &str) -> Bar {
        // indicatif draws nothing where stderr is no terminal.
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        bar.set_style(style(if is_narrow() {
            "{done} {wide_msg}"
        } else {
            "{prefix} {done} {rate} {wide_msg}"
        }));
        bar.set_prefix(shortened(&super::safe(what)));
        bar.enable_steady_tick(Duration::from_millis(250));
        Bar { bar, spared: Mutex::new(0) }
    }

    /// Lets something be said without the bar in its way.
    pub(crate) fn suspended<T>(&self, say: impl FnOnce() -> T) -> T {
        self.bar.suspend(say)
    }

    /// Takes what the library tells.
    pub(crate) fn on(&self, event: Event) {
        match event {
            Event::Total(0) => {}
            Event::Total(total) => {
                self.bar.set_length(total);
                self.bar.set_style(style(if is_narrow() {
                    "{percent:>3}% {wide_msg}"
                } else {
                    "{prefix} [{wide_bar}] {done}/{all} {rate} {msg}"
                }));
            }
            Event::Done(bytes) => self.bar.inc(bytes),
            Event::Spared(bytes) => {
                if let Ok(mut spared) = self.spared.lock() {
                    *spared += bytes;
                    if *spared > 0 {
                        self.bar.set_message(format!("{} spared", human(*spared)));
                    }
                }
            }
        }
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

fn is_narrow() -> bool {
    rustix::termios::tcgetwinsize(std::io::stderr()).is_ok_and(|size| size.ws_col < NARROW)
}

/// The end of a long name tells more than its beginning.
fn shortened(name: &str) -> String {
    let count = name.chars().count();
    if count <= NAME {
        name.to_owned()
    } else {
        format!("…{}", name.chars().skip(count - NAME + 1).collect::<String>())
    }
}

/// Numbers are written as everywhere else.
fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template)
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("=> ")
        .with_key("done", |state: &ProgressState, out: &mut dyn Write| {
            let _ = out.write_str(&human(state.pos()));
        })
        .with_key("all", |state: &ProgressState, out: &mut dyn Write| {
            let _ = out.write_str(&human(state.len().unwrap_or(0)));
        })
        .with_key("rate", |state: &ProgressState, out: &mut dyn Write| {
            let _ = write!(out, "{}/s", human(state.per_sec() as u64));
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_names_are_cut_at_their_beginning() {
        assert_eq!(shortened("gcc15.tar"), "gcc15.tar");
        let long = shortened("a-very-long-directory-name/with/an/archive.tar");
        assert_eq!(
            (long.chars().count(), long.starts_with('…'), long.ends_with("/an/archive.tar")),
            (NAME, true, true)
        );
    }
}
