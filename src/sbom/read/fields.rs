//! `Key: value` lines in groups that empty lines divide, as in deb-control(5) and Python's metadata (RFC 822).

/// One group of fields, as it stands there.
#[derive(Debug)]
pub(crate) struct Fields<'a> {
    fields: Vec<(&'a str, Vec<&'a str>)>,
}

impl<'a> Fields<'a> {
    /// All groups of a text.
    pub(crate) fn groups(text: &'a str) -> impl Iterator<Item = Fields<'a>> {
        let mut lines = text.lines().peekable();
        std::iter::from_fn(move || {
            while lines.next_if(|line| line.trim().is_empty()).is_some() {}
            lines.peek()?;
            let mut fields: Vec<(&str, Vec<&str>)> = Vec::new();
            while let Some(line) = lines.next_if(|line| !line.trim().is_empty()) {
                match line.split_once(':') {
                    // A line that begins with a space goes on with the field before it.
                    _ if line.starts_with([' ', '\t']) => {
                        if let Some((_, values)) = fields.last_mut() {
                            values.push(line.trim());
                        }
                    }
                    Some((key, value)) => fields.push((key, vec![value.trim()])),
                    None => {}
                }
            }
            Some(Fields { fields })
        })
    }

    /// The first line of a field's first value; empty where it has none.
    pub(crate) fn get(&self, key: &str) -> &'a str {
        self.all(key).next().unwrap_or_default()
    }

    /// The first line of each value of a field.
    pub(crate) fn all(&self, key: &str) -> impl Iterator<Item = &'a str> {
        self.lines(key).filter_map(|lines| lines.first().copied())
    }

    /// All lines of each value of a field.
    fn lines(&self, key: &str) -> impl Iterator<Item = &[&'a str]> {
        self.fields
            .iter()
            .filter(move |(name, _)| name.eq_ignore_ascii_case(key))
            .map(|(_, lines)| lines.as_slice())
    }
}
