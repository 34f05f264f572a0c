//! The grammar of expressions: what stands in `${{ … }}`, as a tree.
//!
//! Names that the file does not explain are read too, as unknown. What is not read at all is no tree: filters (`*`), comparisons by
//! size, and what nobody nests that deep.

use std::rc::Rc;

use super::yaml::Kind;

/// Parentheses and `!` within each other.
const MAX_DEPTH: usize = 32;

#[derive(Debug)]
pub(super) enum Expression {
    Literal(Kind),
    /// The keys behind `matrix`.
    Matrix(Vec<Rc<str>>),
    Call(Function, Vec<Expression>),
    Not(Box<Expression>),
    Same(Box<[Expression; 2]>),
    Or(Vec<Expression>),
    And(Vec<Expression>),
    /// What only a run knows.
    Unknown(String),
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Function {
    Format,
    FromJson,
}

impl Expression {
    pub(super) fn parse(text: &str) -> Option<Expression> {
        let mut parser = Parser { tokens: tokens(text)?, at: 0, depth: 0 };
        parser.or().filter(|_| parser.at == parser.tokens.len())
    }
}

/// What stands before the `}}` that ends an expression, and how many bytes both take.
pub(super) fn within(text: &str) -> Option<(&str, usize)> {
    let mut quoted = false;
    let at = text.bytes().enumerate().position(|(at, b)| {
        quoted ^= b == b'\'';
        !quoted && text.as_bytes()[at..].starts_with(b"}}")
    })?;
    Some((&text[..at], at + 2))
}

#[derive(Debug, Clone, PartialEq)]
enum Token {
    Text(String),
    /// A number, or a word with the keys behind it: `matrix.os`.
    Word(String),
    Sign(&'static str),
}

const SIGNS: [&str; 11] = ["||", "&&", "==", "!=", "!", "(", ")", "[", "]", ",", "."];

fn tokens(text: &str) -> Option<Vec<Token>> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        let word = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
        if let Some(quoted) = rest.strip_prefix('\'') {
            let (text, after) = literal(quoted)?;
            tokens.push(Token::Text(text));
            rest = after;
        } else if word > 0 {
            // A number has its dot in it.
            let fraction = rest[word..].strip_prefix('.').filter(|_| rest[..word].parse::<i64>().is_ok());
            let more = fraction.map_or(0, |after| 1 + after.find(|c| !is_word(c)).unwrap_or(after.len()));
            tokens.push(Token::Word(rest[..word + more].to_owned()));
            rest = &rest[word + more..];
        } else {
            let sign = SIGNS.into_iter().find(|sign| rest.starts_with(sign))?;
            tokens.push(Token::Sign(sign));
            rest = &rest[sign.len()..];
        }
        rest = rest.trim_start();
    }
    Some(tokens)
}

/// A text up to its quote, where two quotes stand for one, and what follows.
fn literal(text: &str) -> Option<(String, &str)> {
    let mut made = String::new();
    let mut rest = text;
    loop {
        let (before, after) = rest.split_once('\'')?;
        made.push_str(before);
        match after.strip_prefix('\'') {
            Some(after) => {
                made.push('\'');
                rest = after;
            }
            None => return Some((made, after)),
        }
    }
}

struct Parser {
    tokens: Vec<Token>,
    at: usize,
    depth: usize,
}

impl Parser {
    fn or(&mut self) -> Option<Expression> {
        let mut parts = vec![self.and()?];
        while self.takes("||") {
            parts.push(self.and()?);
        }
        Some(if parts.len() == 1 { parts.remove(0) } else { Expression::Or(parts) })
    }

    fn and(&mut self) -> Option<Expression> {
        let mut parts = vec![self.same()?];
        while self.takes("&&") {
            parts.push(self.same()?);
        }
        Some(if parts.len() == 1 { parts.remove(0) } else { Expression::And(parts) })
    }

    fn same(&mut self) -> Option<Expression> {
        let first = self.unary()?;
        if self.takes("==") {
            return Some(Expression::Same(Box::new([first, self.unary()?])));
        }
        if self.takes("!=") {
            let same = Expression::Same(Box::new([first, self.unary()?]));
            return Some(Expression::Not(Box::new(same)));
        }
        Some(first)
    }

    fn unary(&mut self) -> Option<Expression> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return None;
        }
        let expression = if self.takes("!") {
            Expression::Not(Box::new(self.unary()?))
        } else if self.takes("(") {
            let inner = self.or()?;
            self.takes(")").then_some(inner)?
        } else {
            self.primary()?
        };
        self.depth -= 1;
        Some(expression)
    }

    fn primary(&mut self) -> Option<Expression> {
        let token = self.tokens.get(self.at)?.clone();
        self.at += 1;
        let word = match token {
            Token::Text(text) => return Some(Expression::Literal(Kind::Text(text.into()))),
            Token::Word(word) => word,
            Token::Sign(_) => return None,
        };
        match word.as_str() {
            "true" => return Some(Expression::Literal(Kind::Bool(true))),
            "false" => return Some(Expression::Literal(Kind::Bool(false))),
            "null" => return Some(Expression::Literal(Kind::Null)),
            number if number.parse::<f64>().is_ok() => {
                return Some(Expression::Literal(Kind::Number(number.into())));
            }
            _ => {}
        }
        if self.takes("(") {
            let arguments = self.arguments()?;
            return Some(match word.to_ascii_lowercase().as_str() {
                "format" => Expression::Call(Function::Format, arguments),
                "fromjson" => Expression::Call(Function::FromJson, arguments),
                _ => Expression::Unknown(format!("{word}()")),
            });
        }
        let keys = self.keys()?;
        let is_matrix = word.eq_ignore_ascii_case("matrix");
        Some(if is_matrix { Expression::Matrix(keys) } else { Expression::Unknown(word) })
    }

    fn arguments(&mut self) -> Option<Vec<Expression>> {
        let mut arguments = Vec::new();
        if self.takes(")") {
            return Some(arguments);
        }
        loop {
            arguments.push(self.or()?);
            if self.takes(")") {
                return Some(arguments);
            }
            self.takes(",").then_some(())?;
        }
    }

    /// `.os`, `['os']`, any number of them.
    fn keys(&mut self) -> Option<Vec<Rc<str>>> {
        let mut keys = Vec::new();
        loop {
            let is_index = self.takes("[");
            if !is_index && !self.takes(".") {
                return Some(keys);
            }
            match self.tokens.get(self.at)? {
                Token::Text(key) if is_index => keys.push(key.as_str().into()),
                Token::Word(key) if !is_index => keys.push(key.as_str().into()),
                _ => return None,
            }
            self.at += 1;
            if is_index {
                self.takes("]").then_some(())?;
            }
        }
    }

    fn takes(&mut self, sign: &'static str) -> bool {
        let is_there = self.tokens.get(self.at) == Some(&Token::Sign(sign));
        self.at += usize::from(is_there);
        is_there
    }
}
