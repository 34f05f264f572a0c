//! Layers as directories and back: against umoci and overlayfs itself, against layers that mean harm, and with processes that are killed.

mod hostile;
mod kept;
mod killed;
mod layers;
mod overlay;
mod peers;
mod picture;
mod remove;
mod roundtrip;
mod searched;
mod settle;
mod steps;
