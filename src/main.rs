//! The `pollhook` command: arguments in, exit code out.

use std::process::ExitCode;

/// Large answers become many small values that one thread makes and another drops, which this allocator takes well.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    pollhook::cli::main(std::env::args_os())
}
