//! Building images.

mod config;
