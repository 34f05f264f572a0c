//! References: no text panics, and what is taken means the same when it is read again in either form.

#![no_main]

use larder_store::reference::Reference;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let Ok(reference) = text.parse::<Reference>() else { return };
    for form in [reference.full(), reference.familiar()] {
        assert_eq!(form.parse::<Reference>().as_ref(), Ok(&reference), "{text:?} as {form:?}");
        assert!(
            !form.chars().any(|c| c.is_control() || c.is_whitespace()),
            "{form:?} is not fit for a terminal"
        );
    }
});
