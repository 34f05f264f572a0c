//! What a template prints: text, and lists and mappings of it. What is not defined, or `none`, is an error there as well. Pure.

use minijinja::value::{Kwargs, StringInput, Value, ValueKind};
use minijinja::{Error, ErrorKind, Output, State};

/// Lists in lists.
const DEEPEST: usize = 100;

/// What `{{ … }}` does.
pub(super) fn print(out: &mut Output, state: &mut State, value: &Value) -> Result<(), Error> {
    // What is undefined and comes here is an `if` that has no `else`.
    if !value.is_undefined() {
        seen(state, value)?;
    }
    minijinja::escape_formatter(out, state, value)
}

/// The filter of that name, of values that are defined.
pub(super) fn join(
    state: &mut State,
    value: &Value,
    joiner: Option<StringInput<'_>>,
    attribute: Option<&str>,
    kwargs: Kwargs,
) -> Result<Value, Error> {
    if attribute.is_none() {
        seen(state, value)?;
    }
    minijinja::filters::join(state, value, joiner, attribute, kwargs)
}

/// The filter of that name, of values that are defined.
pub(super) fn string(state: &State, value: &Value) -> Result<Value, Error> {
    seen(state, value)?;
    minijinja::filters::string(state, value)
}

/// Whether all of a value may be seen; a step for each thing in it.
pub(super) fn seen(state: &State, value: &Value) -> Result<(), Error> {
    walk(state, value, 0)
}

fn walk(state: &State, value: &Value, depth: usize) -> Result<(), Error> {
    if depth > DEEPEST {
        return Err(Error::from(ErrorKind::OutOfFuel));
    }
    match value.kind() {
        ValueKind::Undefined => Err(Error::from(ErrorKind::UndefinedError)),
        ValueKind::None => Err(Error::new(ErrorKind::UndefinedError, "it is none")),
        ValueKind::Seq | ValueKind::Iterable | ValueKind::Map => {
            for item in value.try_iter()?.checked() {
                let item = item?;
                state.consume_fuel(1)?;
                walk(state, &item, depth + 1)?;
                if value.kind() == ValueKind::Map {
                    walk(state, &value.get_item(&item)?, depth + 1)?;
                }
            }
            Ok(())
        }
        _ => Ok(()),
    }
}
