//! Registries, asked for real: Debian's docker-registry on the loopback interface, plain and over TLS with a password.

mod access;
mod login;
