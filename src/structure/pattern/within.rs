//! Counts within counts: `(a{100}){11}` is one too many.

use super::MAX_REPEAT;

/// How often things are repeated by the counts around them, multiplied, as Go bounds it.
#[derive(Debug)]
pub(super) struct Within {
    /// The most in the groups that are open, outermost first.
    open: Vec<u32>,
    /// The most in what a repetition would repeat.
    last: u32,
}

impl Default for Within {
    fn default() -> Within {
        Within { open: vec![1], last: 1 }
    }
}

impl Within {
    /// A group opens.
    pub(super) fn begin(&mut self) {
        self.open.push(1);
    }

    /// A group closes: it is what a repetition would repeat.
    pub(super) fn end(&mut self) {
        // A parenthesis too many is found later.
        if self.open.len() > 1 {
            self.last = self.open.pop().unwrap_or(1);
            self.keep();
        }
    }

    /// Something that has nothing in it.
    pub(super) fn single(&mut self) {
        self.last = 1;
    }

    /// What was last is repeated as often as this.
    pub(super) fn repeat(&mut self, least: u32, most: Option<u32>) -> Result<(), String> {
        match most.unwrap_or(least) {
            0 if most.is_some() => self.last = 1,
            0 => {}
            count => self.last = self.last.saturating_mul(count),
        }
        if self.last > MAX_REPEAT {
            return Err(format!("a repetition of more than {MAX_REPEAT}, with those that are in it"));
        }
        self.keep();
        Ok(())
    }

    fn keep(&mut self) {
        if let Some(most) = self.open.last_mut() {
            *most = self.last.max(*most);
        }
    }
}
