//! Methods of Python's values: those that make something large are paid for before they do. Pure.

use minijinja::value::{Value, ValueKind};
use minijinja::{Error, State};
use minijinja_contrib::pycompat::unknown_method_callback;

use super::print::seen;

/// Bytes for a unit of fuel, as the engine counts.
const UNIT: usize = 64;

/// Calls a method.
pub(super) fn call(state: &mut State, value: &Value, method: &str, args: &[Value]) -> Result<Value, Error> {
    if let ("get", [key], ValueKind::Map) = (method, args, value.kind()) {
        // None in Python; but nobody wants to read that in a Dockerfile.
        let found = value.as_object().and_then(|map| map.get_value(key));
        return Ok(found.unwrap_or(Value::UNDEFINED));
    }
    if value.kind() == ValueKind::String {
        for arg in args.iter().filter(|arg| method == "format" || !arg.is_none()) {
            seen(state, arg)?;
        }
        pay(state, large(value.as_str().unwrap_or_default(), method, args)?)?;
    }
    unknown_method_callback(state, value, method, args)
}

fn pay(state: &State, bytes: usize) -> Result<(), Error> {
    state.consume_fuel(u64::try_from(bytes / UNIT).unwrap_or(u64::MAX))
}

/// Bytes that a method makes, at most.
fn large(text: &str, method: &str, args: &[Value]) -> Result<usize, Error> {
    let length = |value: &Value| value.as_str().map_or(0, str::len);
    let bytes = match (method, args) {
        ("join", [items]) => {
            let mut bytes = 0_usize;
            for item in items.try_iter()?.checked() {
                bytes = bytes.saturating_add(text.len()).saturating_add(length(&item?));
            }
            bytes
        }
        ("replace", [old, new, ..]) => {
            let times = text.matches(old.as_str().unwrap_or_default()).count();
            times.saturating_mul(length(new)).saturating_add(text.len())
        }
        // A width makes as much as it says.
        ("format", args) => {
            let numbers = text.split(|c: char| !c.is_ascii_digit());
            let widths = numbers.filter(|number| !number.is_empty());
            let widths = widths.map(|number| number.parse().unwrap_or(usize::MAX));
            let said = widths.chain(args.iter().map(length));
            let holes = text.matches('{').count();
            let bytes = said.fold(0, usize::saturating_add);
            bytes.saturating_mul(holes).saturating_add(text.len())
        }
        _ => text.len(),
    };
    Ok(bytes)
}
