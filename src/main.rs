//! The `larder` program.

fn main() -> std::process::ExitCode {
    larder::run()
}
