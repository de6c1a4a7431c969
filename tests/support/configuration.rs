//! Configurations in a temporary folder.

use std::fs;

use pollhook::config::{Configuration, Diagnostics, Environment, load};

/// Loads a folder of files, of which `config.toml` is the configuration.
pub fn try_load(files: &[(&str, &str)], environment: &Environment) -> Result<Configuration, Diagnostics> {
    let folder = tempfile::tempdir().expect("a folder");
    for (path, text) in files {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().expect("a file is in a folder")).expect("a folder");
        fs::write(path, text).expect("a file");
    }
    load(&folder.path().join("config.toml"), environment)
}

/// Loads a folder of files that has no mistake.
pub fn load_files(files: &[(&str, &str)], environment: &Environment) -> Configuration {
    try_load(files, environment).unwrap_or_else(|mistakes| panic!("{mistakes}"))
}
