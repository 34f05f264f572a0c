//! The decision: tables of cases, what holds of any, and a model over random stores.

mod agreement;
mod by_hand;
mod keeping;
mod model;
mod property;
mod random;
mod room;
mod steps;
