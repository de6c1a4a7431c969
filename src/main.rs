//! The `pollhook` command: arguments in, exit code out.

fn main() {}
