//! The catalogue: what is in images.

mod facts;
