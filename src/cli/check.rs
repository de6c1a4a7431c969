//! `pollhook check`: is the configuration right?

use serde_json::json;

use super::Global;
use super::failure::Failure;
use super::output::{Colour, Output};

#[derive(Debug, clap::Args)]
pub struct CheckArguments {
    /// Do without secrets, certificates and keys that are not to be had here, as where a change is reviewed
    #[arg(long)]
    without_secrets: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Loads the configuration and says what it holds, or every mistake in it.
pub fn check(arguments: &CheckArguments, global: &Global, output: &mut Output) -> Result<(), Failure> {
    let configuration = if arguments.without_secrets {
        global.load_with_stand_ins()?
    } else {
        let (configuration, lacking) = global.load_without_secrets()?;
        if let Some(lacking) = lacking {
            output.say(
                "note: nothing is wrong but what is not to be had here; `pollhook check --without-secrets` does without \
                 it\n",
            );
            return Err(lacking);
        }
        configuration
    };
    super::warn(&configuration, output);
    if arguments.json {
        let connectors: Vec<&str> = configuration.connectors.iter().map(|one| one.name.as_str()).collect();
        let subscriptions: Vec<&str> = configuration.subscriptions.iter().map(|one| one.name.as_str()).collect();
        return output.json(&json!({ "ok": true, "connectors": connectors, "subscriptions": subscriptions }));
    }
    let ok = output.paint(Colour::Green, "ok");
    let file = global.config.display();
    output.line(format_args!(
        "{ok}: {file} has {} and {}",
        counted(configuration.connectors.len(), "connector"),
        counted(configuration.subscriptions.len(), "subscription"),
    ))
}

/// Returns a number with its noun: `1 connector`, `2 connectors`.
pub fn counted(count: usize, noun: &str) -> String {
    let (stem, plural) = noun.strip_suffix('y').map_or((noun, "s"), |stem| (stem, "ies"));
    if count == 1 { format!("1 {noun}") } else { format!("{count} {stem}{plural}") }
}

#[cfg(test)]
mod tests {
    use super::counted;

    #[test]
    fn nouns_agree_with_their_number() {
        assert_eq!(counted(1, "delivery"), "1 delivery");
        assert_eq!(counted(0, "delivery"), "0 deliveries");
        assert_eq!(counted(2, "connector"), "2 connectors");
    }
}
