//! The ready-made connectors are built in, so a new one is a reason to build.

fn main() {
    println!("cargo::rerun-if-changed=connectors");
}
