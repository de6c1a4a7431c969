//! Why nothing could be found, and what to do about it.

use std::fmt::Write as _;

use super::ask::Sight;
use super::find::plain;
use super::target::{SecretPlace, Target};
use super::write::Writing;
use crate::cli::failure::Failure;
use crate::config::CatalogTemplate;
use crate::discover::{self, Answer, Undiscovered};
use crate::model::delivery::FailureClass;
use crate::poll::Problem;

/// Returns the answer to a first look, or why there is none that can be looked at.
pub fn answer(sight: &Sight, target: &Target) -> Result<Answer, Failure> {
    let Some(answer) = sight.first_page() else {
        let problem = sight.look.problem.as_ref();
        let said = problem.map(|problem| plain(sight, problem)).unwrap_or_default();
        let class = problem.and_then(|problem| match problem {
            Problem::Failed(failure) => failure.class,
            _ => None,
        });
        return Err(failed(&said, no_answer(class, target)));
    };
    if is_login_page(&answer) {
        let said = format!("{} answered with a web page that asks for a password", answer.url);
        return Err(failed(&said, Some(how_to_prove(target, &[]))));
    }
    Ok(answer)
}

/// Returns what an answer comes to of which no draft can be made.
pub fn undiscovered(error: &Undiscovered, answer: &Answer, target: &Target) -> Failure {
    let hint = discover::auth_hint(answer);
    let advice = match answer.status {
        401 | 403 => {
            let arguments = hint.as_ref().map_or(&[][..], |hint| &hint.arguments);
            let because = hint.as_ref().map(|hint| format!("{}.\n", capitalised(&hint.finding.because)));
            Some(because.unwrap_or_default() + &how_to_prove(target, arguments))
        }
        404 | 410 => {
            Some("Is the address right? APIs have it in their documentation, often below /api or /v1.".to_owned())
        }
        429 => Some("It has been asked too often: try again later, or with a token (--bearer-env).".to_owned()),
        500..=599 => Some("That is a fault of the source: try again later.".to_owned()),
        _ => None,
    };
    failed(&format!("{}: {error}", target.url), advice)
}

/// Returns that a template needs params that an address does not tell, and how to give them.
pub fn params_missing(template: &CatalogTemplate, missing: &[&str], writing: &Writing) -> Failure {
    let mut text = format!("the template {} is made for such addresses, and needs to be told", template.name);
    for name in missing {
        let param = template.params.iter().find(|param| param.name == *name);
        let description = param.and_then(|param| param.description.as_deref()).unwrap_or("no description");
        let example = param.and_then(|param| param.example.as_ref());
        let example = example.map(|example| format!(", such as {example}")).unwrap_or_default();
        let _ = write!(text, "\n  {name}: {description}{example}");
    }
    let _ = write!(
        text,
        "\nWrite this into config.toml, and {} into its `params`:\n\n{}",
        missing.join(", "),
        writing.text()
    );
    Failure::Failed(text)
}

fn failed(said: &str, advice: Option<String>) -> Failure {
    Failure::Failed(match advice {
        Some(advice) => format!("{said}\n{advice}"),
        None => said.to_owned(),
    })
}

fn no_answer(class: Option<FailureClass>, target: &Target) -> Option<String> {
    let host = target.url.host_str().unwrap_or_default();
    Some(match class? {
        FailureClass::Dns => format!("Is {host} spelt right? Otherwise check the network of this machine."),
        FailureClass::Connect => match target.url.port_or_known_default() {
            Some(port) => format!("Does anything listen at {host}:{port}?"),
            None => return None,
        },
        FailureClass::Tls if target.url.scheme() == "https" => {
            format!("If it speaks plain HTTP there: http{}", &target.url.as_str()["https".len()..])
        }
        FailureClass::Egress => "That is forbidden in `[egress]` of the configuration.".to_owned(),
        _ => return None,
    })
}

fn capitalised(text: &str) -> String {
    let mut characters = text.chars();
    characters.next().map(|first| first.to_uppercase().chain(characters).collect()).unwrap_or_default()
}

/// Returns what to do so that a source knows who asks: what was given is wrong, or these arguments are missing.
fn how_to_prove(target: &Target, arguments: &[String]) -> String {
    match target.secrets.first() {
        Some(secret) => format!(
            "What {} has was sent {} and is not accepted: is it right, has it expired, may it read this?",
            secret.variable,
            match &secret.place {
                SecretPlace::Bearer => "as a bearer token".to_owned(),
                SecretPlace::Basic(username) => format!("as the password of {username}"),
                SecretPlace::Header(name) => format!("in the header {name}"),
                SecretPlace::Query(name) => format!("in the parameter {name}"),
            }
        ),
        None if arguments.is_empty() => format!(
            "It has to be told who asks: put a token into a variable and name that, as in\n\n    export TOKEN=…\n    \
             pollhook new {} --bearer-env TOKEN\n\nor give the header that it wants: --header \"X-Api-Key: …\"",
            quoted(target.url.as_str())
        ),
        None => {
            let variables = arguments.iter().filter_map(|argument| argument.strip_prefix("--bearer-env "));
            let mut lines: Vec<String> = variables.map(|variable| format!("    export {variable}=…")).collect();
            lines.push(format!("    pollhook new {} {}", quoted(target.url.as_str()), arguments.join(" ")));
            format!("It has to be told who asks, such as with\n\n{}", lines.join("\n"))
        }
    }
}

/// Returns a text as it can be typed in a shell.
pub fn quoted(text: &str) -> String {
    let is_plain = text.chars().all(|c| c.is_ascii_alphanumeric() || "-_./:@%+=,~".contains(c));
    if is_plain && !text.is_empty() { text.to_owned() } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

/// Tells whether an answer is a page on which people log in.
fn is_login_page(answer: &Answer) -> bool {
    let content_type = answer.headers.get("content-type").and_then(|value| value.to_str().ok()).unwrap_or_default();
    if !content_type.contains("html") {
        return false;
    }
    let page = String::from_utf8_lossy(&answer.body).to_ascii_lowercase();
    page.split("<input").skip(1).any(|input| {
        let tag = input.split('>').next().unwrap_or_default();
        tag.replace(['"', '\'', ' '], "").contains("type=password")
    })
}
