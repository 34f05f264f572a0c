//! Making a store, adopting what another tool made, and refusing what is neither.

mod adopt;
mod links;
mod make;
mod refuse;
mod share;
