//! `df --tree`: images with their blobs, each with a bar as long as its part of the store.

use std::collections::HashMap;

use larder_store::df::{Parts, Usage};
use larder_store::digest::Digest;

use crate::cli::{count, human, safe};

/// Columns of a bar, and where the terminal has fewer than [`NARROW`].
const BAR: usize = 24;
const SHORT_BAR: usize = 6;
const NARROW: usize = 80;
/// Columns of a number of bytes, with what is around it.
const BYTES: usize = 12;
/// Blobs of an image that have a line each; manifests and configs are small and many.
const SHOWN: usize = 12;

/// The columns that a line may have: those of the terminal, or as many as it needs.
#[derive(Debug, Clone, Copy)]
pub(super) struct Room(Option<usize>);

impl Room {
    /// What stdout has.
    pub(super) fn of_stdout() -> Room {
        let size = rustix::termios::tcgetwinsize(std::io::stdout()).ok();
        Room(size.map(|size| usize::from(size.ws_col)).filter(|columns| *columns > 0))
    }

    fn bar(self) -> usize {
        if self.0.is_some_and(|columns| columns < NARROW) { SHORT_BAR } else { BAR }
    }

    /// Columns beside bar and bytes.
    fn words(self) -> usize {
        self.0.map_or(usize::MAX, |columns| columns.saturating_sub(self.bar() + BYTES).max(2))
    }

    /// The end of a name that is too long: it tells more than the beginning.
    fn name(self, name: &str) -> String {
        let (name, room) = (safe(name), self.words());
        match name.chars().count() {
            count if count > room => format!("…{}", name.chars().skip(count - room + 1).collect::<String>()),
            _ => name,
        }
    }

    /// The beginning of what is said of a blob.
    fn blob(self, words: &str) -> String {
        match words.chars().count() > self.words() {
            true => format!("{}…", words.chars().take(self.words() - 1).collect::<String>()),
            false => words.to_owned(),
        }
    }
}

/// The tree's lines; images are given with their names, in their order. Beside them stands what no image has.
pub(super) fn tree(
    images: &[(String, Digest)],
    parts: &Parts,
    usage: &Usage,
    of_no_image: u64,
    room: Room,
) -> String {
    let mut users: HashMap<Digest, usize> = HashMap::new();
    for blob in parts.values().flat_map(HashMap::keys) {
        *users.entry(*blob).or_default() += 1;
    }
    let line = |own: u64, shared: u64, words: &str| {
        let bar = bar(own, shared, usage.stored.saturating_add(of_no_image), room.bar());
        format!("{bar} {:>9}  {words}\n", human(own.saturating_add(shared)))
    };
    let mut out = String::new();
    for (name, digest) in images {
        let (sizes, blobs) = (usage.images[digest], &parts[digest]);
        out += &line(sizes.unique, sizes.shared, &room.name(name));
        let mut blobs: Vec<_> = blobs.iter().map(|(blob, size)| (*size, *blob)).collect();
        blobs.sort_by_key(|(size, blob)| (std::cmp::Reverse(*size), *blob));
        let (shown, rest) = blobs.split_at(blobs.len().min(SHOWN));
        for (number, (size, blob)) in shown.iter().enumerate() {
            let branch = if number + 1 == blobs.len() { "└─" } else { "├─" };
            let name = format!("{branch} {}", blob.short());
            out += &match users[blob] - 1 {
                0 => line(*size, 0, &room.blob(&name)),
                others => {
                    let words = format!("{name}, shared with {}", count(others, "image"));
                    line(0, *size, &room.blob(&words))
                }
            };
        }
        if !rest.is_empty() {
            let (own, shared): (Vec<_>, Vec<_>) = rest.iter().partition(|(_, blob)| users[blob] == 1);
            let bytes = |blobs: Vec<(u64, Digest)>| blobs.iter().map(|(size, _)| size).sum();
            out += &line(bytes(own), bytes(shared), &format!("└─ {} more", rest.len()));
        }
    }
    let unique = usage.images.values().map(|sizes| sizes.unique).sum();
    let shared = usage.stored.saturating_sub(unique);
    out += &format!("\n{}", line(unique, shared, "of images"));
    out += &format!("█ {} of one image alone\n▒ {} shared by several\n", human(unique), human(shared));
    if of_no_image > 0 {
        out += &format!("· {} of no image\n", human(of_no_image));
    }
    out
}

/// What an image has for itself, and what it shares, of the whole; the rest is dots.
fn bar(own: u64, shared: u64, whole: u64, width: usize) -> String {
    let columns = |bytes: u64| {
        let part = u128::from(bytes.min(whole)) * width as u128;
        let rounded = (part + u128::from(whole / 2)).checked_div(u128::from(whole)).unwrap_or(0);
        usize::try_from(rounded).unwrap_or(width)
    };
    let all = columns(own.saturating_add(shared));
    let own = columns(own).min(all);
    format!("{}{}{}", "█".repeat(own), "▒".repeat(all - own), "·".repeat(width - all))
}

#[cfg(test)]
mod tests {
    use larder_store::df::usage;

    use super::*;

    #[test]
    fn a_bar_is_as_long_as_its_part() {
        for (own, shared, whole, text) in [
            (0, 0, 0, "························"),
            (50, 50, 100, "████████████▒▒▒▒▒▒▒▒▒▒▒▒"),
            (25, 0, 100, "██████··················"),
            (0, 200, 100, "▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒"),
            (u64::MAX, u64::MAX, u64::MAX, "████████████████████████"),
        ] {
            assert_eq!(bar(own, shared, whole, 24), text, "{own} {shared} {whole}");
        }
    }

    #[test]
    fn a_tree_says_who_shares() {
        let digest = |text: &str| Digest::of(text.as_bytes());
        let parts = Parts::from([
            (digest("a"), [(digest("base"), 100), (digest("x"), 50)].into()),
            (digest("b"), [(digest("base"), 100)].into()),
        ]);
        let images = [("a:1".to_owned(), digest("a")), ("b\x1b[2J".to_owned(), digest("b"))];
        let text = tree(&images, &parts, &usage(&parts), 7, Room(None));
        let words = text.lines().map(|line| line.trim_start_matches(['█', '▒', '·', ' ']).to_owned());
        let [base, x] = ["base", "x"].map(|name| digest(name).short());
        let expected = [
            "150 B  a:1".to_owned(),
            format!("100 B  ├─ {base}, shared with 1 image"),
            format!("50 B  └─ {x}"),
            "100 B  b\\u{1b}[2J".to_owned(),
            format!("100 B  └─ {base}, shared with 1 image"),
            String::new(),
            "150 B  of images".to_owned(),
            "50 B of one image alone".to_owned(),
            "100 B shared by several".to_owned(),
            "7 B of no image".to_owned(),
        ];
        assert_eq!(words.collect::<Vec<_>>(), expected);
    }

    /// No line is longer than a terminal; what is cut of a name is its beginning.
    #[test]
    fn a_tree_fits_a_terminal() {
        let digest = |text: &str| Digest::of(text.as_bytes());
        let blobs = |count: usize| (0..count).map(|at| (digest(&at.to_string()), 999_900_000)).collect();
        let parts = Parts::from([(digest("a"), blobs(1)), (digest("b"), blobs(20))]);
        let images = [
            (format!("{}:last", "a".repeat(4096)), digest("a")),
            ("\u{202e}\r\u{1b}[2J".repeat(100), digest("b")),
        ];
        for columns in [40, 60, 80, 200] {
            let text = tree(&images, &parts, &usage(&parts), 0, Room(Some(columns)));
            assert!(text.lines().all(|line| line.chars().count() <= columns), "{columns}: {text}");
            assert!(text.lines().next().is_some_and(|line| line.ends_with("aaa:last")), "{text}");
            assert!(text.chars().all(|c| c == '\n' || !c.is_control() && c != '\u{202e}'));
            assert!(text.contains("20 more") || text.contains("└─ 8 more"), "{text}");
        }
    }
}
