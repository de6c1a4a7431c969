//! Adds what was written to a configuration, which otherwise stays byte for byte as it is.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::cli::failure::Failure;
use crate::model::secret::Secret;

/// Puts a text in a file's place: written beside it, then renamed, so that nobody ever sees half of it. The file keeps
/// its permissions.
pub fn replace(path: &Path, text: &str) -> Result<(), Failure> {
    // What a link leads to is replaced, and not the link.
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let failed = |error| Failure::caused(format!("cannot write {}", path.display()), error);
    let beside = beside(&path);
    let written = (|| {
        let mut file = OpenOptions::new().write(true).create_new(true).open(&beside)?;
        if let Ok(metadata) = fs::metadata(&path) {
            file.set_permissions(metadata.permissions())?;
        }
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&beside, &path)
    })();
    written.map_err(|error| {
        // It is of no use to anybody, and may not even be there.
        let _ = fs::remove_file(&beside);
        failed(error)
    })
}

/// A file with a secret that was made for a configuration. Dropping it takes it away again, unless it is kept.
pub struct SecretFile {
    path: PathBuf,
    kept: bool,
}

impl SecretFile {
    /// The folder of secrets, beside a configuration.
    pub const FOLDER: &str = "secrets";

    /// Writes a secret to a new file beside a configuration, which only this user may read.
    pub fn create(configuration: &Path, name: &str, secret: &Secret) -> Result<Self, Failure> {
        let folder = configuration.parent().unwrap_or(Path::new("")).join(Self::FOLDER);
        let path = folder.join(name);
        let failed = |error: io::Error| match error.kind() {
            io::ErrorKind::AlreadyExists => Failure::Failed(format!(
                "{} is there already, and may be in use: choose another name with --name, or remove it",
                path.display()
            )),
            _ => Failure::caused(format!("cannot write {}", path.display()), error),
        };
        match fs::DirBuilder::new().mode(0o700).create(&folder) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(failed(error)),
            _ => {}
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path).map_err(failed)?;
        let this = Self { path: path.clone(), kept: false };
        writeln!(file, "{}", secret.expose()).and_then(|()| file.sync_all()).map_err(failed)?;
        Ok(this)
    }

    /// Leaves the file where it is.
    pub fn keep(mut self) {
        self.kept = true;
    }
}

impl Drop for SecretFile {
    fn drop(&mut self) {
        if !self.kept {
            // There is nobody to tell who could do more.
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn beside(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.{}", std::process::id()))
}
