//! Disks of a test's own, which lose their power: those of the library's tests.

#[allow(dead_code, reason = "the library's tests use all of it")]
#[path = "../../store/tests/support/child.rs"]
mod child;
#[allow(dead_code, reason = "the library's tests use all of it")]
#[path = "../../store/tests/support/disk.rs"]
mod disk;
#[path = "../../store/tests/support/skip.rs"]
mod skip;

pub use disk::{Disk, own_namespace};

fn directory() -> tempfile::TempDir {
    tempfile::Builder::new().prefix("larder-test.").tempdir().unwrap()
}

/// The name of the test that calls it, as `cargo test` prints it.
macro_rules! here {
    () => {{
        fn here() {}
        $crate::support::skip::test_name(std::any::type_name_of_val(&here))
    }};
}
pub(crate) use here;
