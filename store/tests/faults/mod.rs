//! Disks that are full, read-only, or lose their power.

mod full;
mod power;
mod read_only;
