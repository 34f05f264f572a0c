//! The decision: as tables of cases, and against a model over random stores.

mod agreement;
mod model;
mod property;
mod random;
