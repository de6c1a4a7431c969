//! The reference of all keys is what the configuration is read by.

use std::path::Path;

#[test]
fn the_reference_lists_the_keys_that_there_are() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/configuration.md");
    let reference = pollhook::config::reference();
    if std::env::var_os("UPDATE_FIXTURES").is_some() {
        std::fs::write(&path, &reference).expect("the file can be written");
    }
    let written = std::fs::read_to_string(&path).expect("docs/configuration.md can be read");
    assert!(
        written == reference,
        "docs/configuration.md is out of date: UPDATE_FIXTURES=1 cargo test --test reference writes it anew"
    );
}
