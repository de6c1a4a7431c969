//! The ready-made connectors are built in, so a new one is a reason to build.

#[expect(clippy::print_stdout, reason = "this is how a build script speaks to cargo")]
fn main() {
    println!("cargo::rerun-if-changed=connectors");
}
