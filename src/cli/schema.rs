//! `pollhook schema`: what editors complete files from.

use std::path::{Path, PathBuf};

use super::failure::Failure;
use super::output::Output;
use crate::config::{self, SchemaOf};

#[derive(Debug, clap::Args)]
pub struct SchemaArguments {
    /// The file that it is for
    #[arg(value_enum, default_value_t = File::Config)]
    file: File,
    /// Write the schemas of both files to a folder instead: config.json and connector.json
    #[arg(long, value_name = "DIR", conflicts_with = "file")]
    write: Option<PathBuf>,
}

/// The files that there are schemas of.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum File {
    /// config.toml
    Config,
    /// A template in connectors/
    Connector,
}

/// Prints a schema, or writes both to a folder.
pub fn schema(arguments: &SchemaArguments, output: &mut Output) -> Result<(), Failure> {
    let Some(folder) = &arguments.write else {
        return output.json(&config::schema(match arguments.file {
            File::Config => SchemaOf::Configuration,
            File::Connector => SchemaOf::Template,
        }));
    };
    write_schemas(folder)?;
    let shown = folder.display();
    output.line(format_args!("wrote {shown}/config.json and {shown}/connector.json"))?;
    output.say(&format!("Editors find them by a first line such as\n#:schema ./{shown}/config.json"));
    Ok(())
}

/// Writes the schemas of both files to a folder, which is made if it is not there.
pub fn write_schemas(folder: &Path) -> Result<(), Failure> {
    let failed = |path: &Path, error| Failure::caused(format!("`{}` cannot be written", path.display()), error);
    std::fs::create_dir_all(folder).map_err(|error| failed(folder, error))?;
    for (name, of) in [("config.json", SchemaOf::Configuration), ("connector.json", SchemaOf::Template)] {
        let path = folder.join(name);
        let text = serde_json::to_string_pretty(&config::schema(of)).expect("a schema can be written as JSON");
        std::fs::write(&path, text + "\n").map_err(|error| failed(&path, error))?;
    }
    Ok(())
}
