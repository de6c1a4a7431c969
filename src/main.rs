//! The `pollhook` command: arguments in, exit code out.

use std::process::ExitCode;

fn main() -> ExitCode {
    pollhook::cli::main(std::env::args_os())
}
