//! `${{ … }}` as far as a file tells it: `matrix`, literals, `||`, `&&`, `==`, `!=`, `!`, `format` and `fromJSON`.
//!
//! What only a run knows (`github`, `inputs`, `needs` …) is unknown, and that is an error only where its value decides: the left side
//! of `matrix.container || inputs.container` is enough where it says something.

use std::rc::Rc;

use super::Fault;
use super::grammar::{Expression, Function, within};
use super::matrix::Entry;
use super::yaml::{Kind, Node};

/// Bytes of a text with expressions, and of what comes out of one: labels and names of images are short.
const MAX_BYTES: usize = 8 << 10;

/// The value of a node in an entry of the matrix; without an entry `matrix` is unknown too.
pub(super) fn value(node: &Node, entry: Option<&Entry>) -> Result<Node, Fault> {
    let Kind::Text(text) = &node.kind else { return Ok(node.clone()) };
    if !text.contains("${{") {
        return Ok(node.clone());
    }
    let unknown = |source: &str, why: &str| {
        Fault::unknown(node, format!("what {:?} is cannot be told from the file: {why}", short(source)))
    };
    if text.len() > MAX_BYTES {
        return Err(unknown(text, "it is too long"));
    }
    let mut rest = &**text;
    let mut joined = String::new();
    while let Some((before, after)) = rest.split_once("${{") {
        let (source, end) = within(after).ok_or_else(|| unknown(text, "it has no end"))?;
        let whole = &rest[before.len()..rest.len() - after.len() + end];
        let expression =
            Expression::parse(source).ok_or_else(|| unknown(whole, "larder does not read it"))?;
        let value = expression.value(node, entry).map_err(|why| unknown(whole, &why))?;
        rest = &after[end..];
        if joined.is_empty() && before.trim().is_empty() && rest.trim().is_empty() {
            return Ok(value);
        }
        let text = value.text().ok_or_else(|| unknown(whole, "it is no text"))?;
        joined.push_str(before);
        joined.push_str(&text);
        if joined.len() > MAX_BYTES {
            return Err(unknown(whole, "it is too long"));
        }
    }
    joined.push_str(rest);
    Ok(node.with(Kind::Text(joined.into())))
}

fn short(text: &str) -> String {
    text.chars().take(200).collect()
}

impl Expression {
    /// The error says why it is unknown.
    fn value(&self, here: &Node, entry: Option<&Entry>) -> Result<Node, String> {
        let bool = |value| here.with(Kind::Bool(value));
        match self {
            Expression::Literal(kind) => Ok(here.with(kind.clone())),
            Expression::Unknown(name) => Err(format!("only a run knows {name}")),
            Expression::Matrix(keys) => {
                let entry = entry.ok_or("only a run knows matrix here")?;
                let (first, rest) = keys.split_first().ok_or("it is no text")?;
                let none = here.with(Kind::Null);
                let mut found = entry.get(first).unwrap_or(&none);
                for key in rest {
                    found = found.get(key).unwrap_or(&none);
                }
                value(found, None).map_err(|fault| fault.why)
            }
            Expression::Not(inner) => Ok(bool(!truth(&inner.value(here, entry)?))),
            Expression::Same(sides) => {
                let [a, b] = [sides[0].value(here, entry)?, sides[1].value(here, entry)?];
                Ok(bool(is_same(&a, &b)))
            }
            Expression::Or(parts) => decide(parts, here, entry, true),
            Expression::And(parts) => decide(parts, here, entry, false),
            Expression::Call(function, arguments) => {
                let texts = arguments.iter().map(|argument| {
                    argument.value(here, entry)?.text().ok_or_else(|| "it is no text".to_owned())
                });
                let texts = texts.collect::<Result<Vec<_>, String>>()?;
                let (first, rest) = texts.split_first().ok_or("it has no argument")?;
                match function {
                    Function::Format => Ok(here.with(Kind::Text(format(first, rest)?.into()))),
                    // Every JSON is YAML.
                    Function::FromJson => Ok(Node::parse(first)?.moved(here.at)),
                }
            }
        }
    }
}

/// The first part that decides, or the last one.
fn decide(parts: &[Expression], here: &Node, entry: Option<&Entry>, by: bool) -> Result<Node, String> {
    let (last, before) = parts.split_last().ok_or("it is empty")?;
    for part in before {
        let value = part.value(here, entry)?;
        if truth(&value) == by {
            return Ok(value);
        }
    }
    last.value(here, entry)
}

/// As GitHub has it: nothing, zero and the empty text are false.
fn truth(node: &Node) -> bool {
    match &node.kind {
        Kind::Null => false,
        Kind::Bool(value) => *value,
        Kind::Number(text) => text.parse().is_ok_and(|number: f64| number != 0.0 && !number.is_nan()),
        Kind::Text(text) => !text.is_empty(),
        Kind::List(_) | Kind::Map(_) => true,
    }
}

/// As GitHub has it: texts without regard to case, scalars of two kinds as numbers.
fn is_same(a: &Node, b: &Node) -> bool {
    let number = |node: &Node| match &node.kind {
        Kind::Null => 0.0,
        Kind::Bool(value) => f64::from(*value),
        Kind::Number(text) | Kind::Text(text) if !text.is_empty() => text.trim().parse().unwrap_or(f64::NAN),
        Kind::Number(_) | Kind::Text(_) => 0.0,
        Kind::List(_) | Kind::Map(_) => f64::NAN,
    };
    match (&a.kind, &b.kind) {
        (Kind::Text(a), Kind::Text(b)) => a.to_lowercase() == b.to_lowercase(),
        _ => number(a) == number(b),
    }
}

/// `{0}` is the first argument; `{{` and `}}` are braces.
fn format(text: &str, arguments: &[Rc<str>]) -> Result<String, String> {
    let mut made = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(['{', '}']) {
        made.push_str(&rest[..at]);
        let brace = &rest[at..=at];
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix(brace) {
            made.push_str(brace);
            rest = after;
        } else {
            let (index, after) =
                rest.split_once('}').filter(|_| brace == "{").ok_or("its braces do not match")?;
            let argument = index.parse().ok().and_then(|index: usize| arguments.get(index));
            made.push_str(argument.ok_or_else(|| format!("it has no argument {{{index}}}"))?);
            rest = after;
        }
        if made.len() > MAX_BYTES {
            return Err("it is too long".to_owned());
        }
    }
    Ok(made + rest)
}
