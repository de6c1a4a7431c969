//! Where events are to be sent: whether its address is a secret, and what people's tools want to read.

use url::{Host, Url};

use super::target::is_secret_param;

/// What takes the deliveries of a new subscription.
#[derive(Debug, Clone)]
pub struct Receiver {
    pub url: Url,
    /// Whoever has the address can post to it.
    pub is_secret: bool,
    /// The tool for people that reads them; `None` for a receiver of events.
    pub tool: Option<Tool>,
}

/// A tool for people: it verifies no signature, and takes a body of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tool {
    Slack,
    Discord,
    Teams,
    Telegram,
}

/// Hosts, and how the paths below them begin that nobody else may know, and the tool that they are of.
const SECRET_PATHS: &[(&str, &str, Option<Tool>)] = &[
    ("hooks.slack.com", "/services/", Some(Tool::Slack)),
    ("hooks.slack.com", "/", None),
    ("discord.com", "/api/webhooks/", Some(Tool::Discord)),
    ("discordapp.com", "/api/webhooks/", Some(Tool::Discord)),
    (".webhook.office.com", "/", Some(Tool::Teams)),
    (".logic.azure.com", "/", Some(Tool::Teams)),
    (".api.powerplatform.com", "/", Some(Tool::Teams)),
    ("api.telegram.org", "/bot", Some(Tool::Telegram)),
    ("hooks.zapier.com", "/hooks/", None),
    ("maker.ifttt.com", "/", None),
    ("chat.googleapis.com", "/", None),
];

/// What begins each body: what an item is called, in plain text.
const TITLE: &str = "def title: [.data | objects | .title, .name, .subject, .summary, .text | strings][0] // .key;\n";

impl Receiver {
    /// Returns what is known of the receiver at an address.
    pub fn at(url: Url) -> Self {
        let known = SECRET_PATHS.iter().find(|(host, path, _)| is_at(&url, host) && url.path().starts_with(path));
        let has_secret = url.password().is_some()
            || url.query_pairs().any(|(name, value)| is_secret_param(&name) && !value.is_empty());
        Self { is_secret: known.is_some() || has_secret, tool: known.and_then(|(_, _, tool)| *tool), url }
    }

    /// Returns where it is, without what is secret.
    pub fn shown(&self) -> String {
        match (self.is_secret, self.tool) {
            (false, _) => self.url.to_string(),
            (true, None) => format!("{}/***", self.url.origin().ascii_serialization()),
            (true, Some(tool)) => format!("{} at {}/***", tool.name(), self.url.origin().ascii_serialization()),
        }
    }
}

/// Tells whether an address is of a host, or of one whose name ends so.
fn is_at(url: &Url, host: &str) -> bool {
    let Some(Host::Domain(name)) = url.host() else { return false };
    if host.starts_with('.') { name.ends_with(host) } else { name == host }
}

impl Tool {
    /// Returns what people call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Slack => "Slack",
            Self::Discord => "Discord",
            Self::Teams => "Teams",
            Self::Telegram => "Telegram",
        }
    }

    /// Returns the body that it takes for an event.
    pub fn body(self) -> String {
        let body = match self {
            Self::Slack => {
                r#"def plain: gsub("&"; "&amp;") | gsub("<"; "&lt;") | gsub(">"; "&gt;");
{text: "\(.type): \(title | .[:500] | plain)"}
"#
            }
            Self::Discord => {
                r#"{content: "\(.type): \(title | .[:500])", allowed_mentions: {parse: []}}
"#
            }
            Self::Teams => {
                r#"{type: "message", attachments: [{
  contentType: "application/vnd.microsoft.card.adaptive",
  content: {type: "AdaptiveCard", version: "1.4", body: [{type: "TextBlock", text: "\(.type): \(title | .[:500])", wrap: true}]}
}]}
"#
            }
            Self::Telegram => {
                r#"{text: "\(.type): \(title | .[:500])"}
"#
            }
        };
        format!("{TITLE}{body}")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::model::expression::Expression;

    fn at(url: &str) -> Receiver {
        Receiver::at(url.parse().expect("an address"))
    }

    #[test]
    fn addresses_that_are_secrets_are_told_from_others() {
        for (url, expected) in [
            ("https://hooks.slack.com/services/T0/B0/abc", "Slack at https://hooks.slack.com/***"),
            ("https://hooks.slack.com/triggers/T0/abc", "https://hooks.slack.com/***"),
            ("https://discord.com/api/webhooks/1/abc", "Discord at https://discord.com/***"),
            ("https://shop.webhook.office.com/webhookb2/abc", "Teams at https://shop.webhook.office.com/***"),
            (
                "https://prod-1.west.logic.azure.com/workflows/abc?sig=x",
                "Teams at https://prod-1.west.logic.azure.com/***",
            ),
            ("https://api.telegram.org/bot1:abc/sendMessage?chat_id=2", "Telegram at https://api.telegram.org/***"),
            ("https://me:abc@erp.example/hook", "https://erp.example/***"),
            ("https://erp.example:8443/hook?token=abc", "https://erp.example:8443/***"),
        ] {
            let receiver = at(url);
            assert_eq!((receiver.is_secret, receiver.shown().as_str()), (true, expected), "{url}");
        }
        for url in [
            "https://ntfy.sh/topic",
            "https://erp.example/hook?a=b",
            "https://discord.com/",
            "https://slack.com/x?token=",
        ] {
            let receiver = at(url);
            assert_eq!((receiver.is_secret, receiver.shown().as_str(), receiver.tool), (false, url, None));
        }
    }

    #[test]
    fn bodies_name_what_happened_and_mention_nobody() {
        let event = json!({"type": "orders.created", "key": "7", "data": {"title": "<!channel> & co"}});
        let body = |tool: Tool| -> Value {
            let expression = Expression::parse(&tool.body()).expect("an expression");
            expression.first_output(&event).expect("an output").expect("a body")
        };
        assert_eq!(body(Tool::Slack), json!({"text": "orders.created: &lt;!channel&gt; &amp; co"}));
        let said = "orders.created: <!channel> & co";
        assert_eq!(body(Tool::Discord), json!({"content": said, "allowed_mentions": {"parse": []}}));
        assert_eq!(body(Tool::Teams)["attachments"][0]["content"]["body"][0]["text"], said);
        assert_eq!(body(Tool::Telegram), json!({"text": said}));
    }
}
