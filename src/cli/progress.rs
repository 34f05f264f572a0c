//! Progress bars: on a terminal for what takes a while, silent in a pipe.

use std::sync::Mutex;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use larder_store::progress::Event;

use super::human;

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
        bar.set_style(style("{prefix} {bytes} {binary_bytes_per_sec} {msg}"));
        bar.set_prefix(super::safe(what));
        bar.enable_steady_tick(Duration::from_millis(250));
        Bar { bar, spared: Mutex::new(0) }
    }

    /// Takes what the library tells.
    pub(crate) fn on(&self, event: Event) {
        match event {
            Event::Total(0) => {}
            Event::Total(total) => {
                self.bar.set_length(total);
                self.bar.set_style(style(
                    "{prefix} [{wide_bar}] {bytes}/{total_bytes} {decimal_bytes_per_sec} {msg}",
                ));
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

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template)
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("=> ")
}
