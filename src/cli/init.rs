//! `pollhook init`: a small configuration to begin with.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use super::failure::Failure;
use super::output::Output;
use super::schema;

#[derive(Debug, clap::Args)]
pub struct InitArguments {
    /// The folder, which is made if it is not there
    #[arg(default_value = ".")]
    folder: PathBuf,
}

/// What a configuration begins with.
const HEAD: &str = "\
# pollhook turns HTTP APIs into webhooks: this file says which APIs are polled, and who is told when something changes.
#
#   pollhook new URL --to URL    looks at an API's answer and adds a connector for it, and a subscription
#   pollhook check               is this file right? All mistakes at once, each with its place
#   pollhook run                 the service itself
";

/// What else a configuration has to begin with. What is commented out is what is so anyway.
const BODY: &str = r#"
[server]
listen = "127.0.0.1:8787"    # health, metrics and the API; elsewhere than on loopback it needs a `token`

[store.sled]
path = "data"                # what was seen and what is still to be delivered; relative to this file

# A connector is one source. Templates of your own go into connectors/; `pollhook catalog` lists those that are ready-made.
#
# [connectors.rust-releases]
# use    = "github-releases"
# params = { owner = "rust-lang", repo = "rust" }

# A subscription is a URL that events are POSTed to, signed with its secret.
#
# [subscriptions.local]
# url        = "http://127.0.0.1:8788/"    # where `pollhook listen` listens
# connectors = ["rust-releases"]           # without this: all
# secret     = { file = "secrets/local" }  # made with: echo "whsec_$(openssl rand -base64 32)"
"#;

/// The folder beside a configuration with what editors complete it from.
const SCHEMAS: &str = "schemas";

/// Writes a configuration, what editors complete it from, and a folder for templates. A configuration that is there is not
/// touched.
pub fn init(arguments: &InitArguments, output: &mut Output) -> Result<(), Failure> {
    let folder = &arguments.folder;
    let (config, connectors) = (folder.join("config.toml"), folder.join("connectors"));
    let failed = |path: &Path, error| Failure::caused(format!("cannot make {}", path.display()), error);
    fs::create_dir_all(folder).map_err(|error| failed(folder, error))?;
    let mut file =
        OpenOptions::new().write(true).create_new(true).open(&config).map_err(|error| match error.kind() {
            std::io::ErrorKind::AlreadyExists => Failure::Failed(format!(
                "{} is there already and stays as it is; `pollhook check` tells whether it is right",
                config.display()
            )),
            _ => failed(&config, error),
        })?;
    schema::write_schemas(&folder.join(SCHEMAS))?;
    file.write_all((head(&config) + BODY).as_bytes()).map_err(|error| failed(&config, error))?;
    fs::create_dir_all(&connectors).map_err(|error| failed(&connectors, error))?;
    output.line(format_args!(
        "{} is written, and {} is there for templates of your own.",
        config.display(),
        connectors.display()
    ))?;
    output.line("\nNext, with the address of an API, and the one that is to be told:\n")?;
    if folder != Path::new(".") {
        output.line(format_args!("    cd {}", super::new::quoted(&folder.display().to_string())))?;
    }
    output.line("    pollhook new https://… --to https://…")
}

/// Returns what a new configuration at a path begins with. Editors complete it if there is a schema beside it.
pub fn head(path: &Path) -> String {
    let schema = Path::new(SCHEMAS).join("config.json");
    let folder = path.parent().unwrap_or(Path::new(""));
    if folder.join(&schema).is_file() { format!("#:schema ./{}\n{HEAD}", schema.display()) } else { HEAD.to_owned() }
}
