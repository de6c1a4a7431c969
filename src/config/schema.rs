//! JSON Schemas (draft 7) of the files that people write, made from the tables that the configuration is read by, so that an
//! editor completes and checks what pollhook accepts.
//!
//! A schema says less than pollhook checks: it does not read expressions, addresses or schedules.

use serde_json::{Map, Value, json};

use super::keys::{ADAPTIVE, CONNECTOR, FIRST_POLL, HTML_FIELD, Key, Keys, Kind, LATEST, PARAM, ROOT, SECRET};
use super::keys::{SIGNING_SECRET, Words};

/// The files that there are schemas of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SchemaOf {
    /// `config.toml`.
    Configuration,
    /// A template: a file of the catalogue.
    Template,
}

/// Returns the JSON Schema of a file.
pub fn schema(of: SchemaOf) -> Value {
    let (title, mut schema) = match of {
        SchemaOf::Configuration => ("A configuration of pollhook", table(&ROOT)),
        SchemaOf::Template => ("A connector template of pollhook", table(&CONNECTOR)),
    };
    if of == SchemaOf::Template {
        let properties = schema["properties"].as_object_mut().expect("a table has properties");
        properties.shift_remove("use");
        let mut params = json!({ "type": "object", "additionalProperties": table(&PARAM) });
        params["description"] = json!("What whoever uses the template gives it, by name.");
        properties.insert("params".to_owned(), params);
    }
    let mut whole = Map::new();
    whole.insert("$schema".to_owned(), json!("http://json-schema.org/draft-07/schema#"));
    whole.insert("title".to_owned(), json!(title));
    whole.extend(schema.as_object().cloned().unwrap_or_default());
    let mut definitions = Map::new();
    definitions.insert("secret".to_owned(), any_of([text(), table(&SECRET)]));
    definitions.insert("signing_secret".to_owned(), any_of([text(), table(&SIGNING_SECRET)]));
    definitions.insert("param".to_owned(), param());
    definitions.insert("duration".to_owned(), json!({ "type": "string", "pattern": DURATION }));
    whole.insert("definitions".to_owned(), Value::Object(definitions));
    Value::Object(whole)
}

/// What an amount of time looks like: `500ms`, `30s`, `1h30m`, `7d`.
const DURATION: &str = "^([0-9]+(ms|s|m|h|d|w))+$";

/// What a rate looks like: `10/s`, `5000/h`, `1/10s`.
const RATE: &str = "^[0-9]+/[0-9]*(ms|s|m|h|d|w)$";

/// What an amount of bytes looks like: `64KiB`.
const SIZE: &str = "^[0-9]+ ?(B|KB|MB|GB|KiB|MiB|GiB)?$";

fn table(keys: &'static Keys) -> Value {
    let built = |name: &str| keys.get(name).is_some_and(|key| !key.kind.is_later());
    let properties: Map<String, Value> = keys
        .all
        .iter()
        .filter(|key| !key.kind.is_later())
        .map(|key| (key.name.to_owned(), property(keys, key)))
        .collect();
    let mut schema = json!({ "type": "object", "additionalProperties": false, "properties": properties });
    let mut exclusions = Vec::new();
    for group in keys.exclusive {
        let names: Vec<&str> = group.iter().copied().filter(|name| built(name)).collect();
        for (index, one) in names.iter().enumerate() {
            for other in &names[index + 1..] {
                exclusions.push(json!({ "not": { "required": [one, other] } }));
            }
        }
    }
    if !exclusions.is_empty() {
        schema["allOf"] = Value::Array(exclusions);
    }
    schema
}

fn property(keys: &'static Keys, key: &'static Key) -> Value {
    let kind = match key.kind {
        Kind::Forms => forms(keys.what, key.name),
        Kind::Map(&Kind::Forms) => {
            json!({ "type": "object", "additionalProperties": forms(keys.what, key.name) })
        }
        _ => of_kind(&key.kind),
    };
    // Beside `$ref`, draft 7 does not look at anything else.
    let kind = if kind.get("$ref").is_some() { json!({ "allOf": [kind] }) } else { kind };
    let mut schema = Map::new();
    schema.insert("description".to_owned(), json!(key.doc));
    schema.extend(kind.as_object().cloned().unwrap_or_default());
    if let Some(default) = key.default {
        schema.insert("default".to_owned(), written(&key.kind, default));
    }
    if let Some(example) = example(keys, key) {
        schema.insert("examples".to_owned(), json!([example]));
    }
    Value::Object(schema)
}

/// Returns the value of a default, which is kept as people would write it, but a text without quotes.
fn written(kind: &Kind, text: &str) -> Value {
    match kind {
        Kind::Count(..) | Kind::Boolean | Kind::Durations(..) | Kind::Choices(_) => {
            serde_json::from_str(text).expect("a default is a value of its kind")
        }
        _ => Value::from(text),
    }
}

fn of_kind(kind: &'static Kind) -> Value {
    match kind {
        Kind::Text => text(),
        Kind::Texts => one_or_list(&text()),
        Kind::Expression => json!({ "type": "string", "minLength": 1 }),
        Kind::Expressions => one_or_list(&json!({ "type": "string", "minLength": 1 })),
        Kind::Template => one_or_list(&json!({ "type": ["string", "number", "boolean"] })),
        Kind::FilledIn => json!({ "type": ["string", "number", "boolean"] }),
        Kind::Duration(..) => reference("duration"),
        Kind::Durations(..) => json!({ "type": "array", "items": reference("duration") }),
        Kind::Rate => json!({ "type": "string", "pattern": RATE }),
        Kind::Size(..) => json!({ "type": ["string", "integer"], "pattern": SIZE, "minimum": 0 }),
        Kind::Count(least, most) => json!({ "type": "integer", "minimum": least, "maximum": most }),
        Kind::Boolean => json!({ "type": "boolean" }),
        Kind::Choice(words) => choice(words),
        Kind::Choices(words) => one_or_list(&choice(words)),
        Kind::Secret | Kind::Address => reference("secret"),
        Kind::SigningSecrets => one_or_list(&reference("signing_secret")),
        Kind::Param => reference("param"),
        Kind::Elements => {
            let element = json!({ "type": "object", "additionalProperties": reference("param") });
            json!({ "type": "array", "minItems": 1, "items": element })
        }
        Kind::Json | Kind::Forms | Kind::Later | Kind::LaterSecret => json!({}),
        Kind::Table(keys) => table(keys),
        Kind::TableOrFalse(keys) => any_of([table(keys), json!({ "const": false })]),
        Kind::Map(kind) => map(kind),
    }
}

/// Returns what a key with forms of its own holds.
fn forms(what: &str, name: &str) -> Value {
    let count = |least: u64| json!({ "type": "integer", "minimum": least });
    match (what, name) {
        ("a connector", "every") => any_of([reference("duration"), table(&ADAPTIVE)]),
        ("`changes`", "first_poll") => any_of([choice(&FIRST_POLL), table(&LATEST)]),
        ("`hold_above`", "removed") => any_of([count(0), json!({ "type": "string", "pattern": "^[0-9.]+%$" })]),
        ("`html`", "fields") => any_of([text(), table(&HTML_FIELD)]),
        ("`tls`", "key") => reference("secret"),
        ("`cursor`", "initial") => json!({ "type": ["string", "number"] }),
        ("`cursor`", "overlap") => any_of([reference("duration"), json!({ "type": "number", "minimum": 0 })]),
        ("a subscription", "give_up_on") => {
            let status = json!({ "type": "integer", "minimum": 300, "maximum": 599 });
            one_or_list(&any_of([status, json!({ "type": "string", "pattern": "^[345]xx$" })]))
        }
        ("a subscription", "disable_after") => any_of([reference("duration"), json!({ "const": false })]),
        _ => json!({}),
    }
}

fn text() -> Value {
    json!({ "type": "string" })
}

fn choice(words: &Words) -> Value {
    json!({ "enum": words.words })
}

fn map(kind: &'static Kind) -> Value {
    json!({ "type": "object", "additionalProperties": of_kind(kind) })
}

fn param() -> Value {
    let plain = json!({ "type": ["string", "number", "boolean"] });
    any_of([plain.clone(), json!({ "type": "array", "items": plain }), table(&SECRET)])
}

fn one_or_list(schema: &Value) -> Value {
    any_of([schema.clone(), json!({ "type": "array", "items": schema })])
}

fn any_of<const COUNT: usize>(schemas: [Value; COUNT]) -> Value {
    json!({ "anyOf": Vec::from(schemas) })
}

fn reference(definition: &str) -> Value {
    json!({ "$ref": format!("#/definitions/{definition}") })
}

/// Returns a value that works, as editors offer it; `None` where a kind says it all.
fn example(keys: &Keys, key: &Key) -> Option<Value> {
    let own = EXAMPLES.iter().find(|(what, name, _)| (*what, *name) == (keys.what, key.name));
    if let Some((_, _, example)) = own {
        return Some(serde_json::from_str(example).expect("an example is JSON"));
    }
    match key.kind {
        _ if key.default.is_some() => None,
        Kind::Duration(..) => Some(json!("30s")),
        Kind::Rate => Some(json!("10/s")),
        Kind::Secret => Some(json!({ "env": "NAME_OF_A_VARIABLE" })),
        _ => None,
    }
}

/// Values that work, by what a table is and by key, as JSON.
const EXAMPLES: &[(&str, &str, &str)] = &[
    ("a connector", "use", r#""github-releases""#),
    ("a connector", "params", r#"{"owner": "rust-lang", "repo": "rust", "token": {"env": "GITHUB_TOKEN"}}"#),
    ("a connector", "title", r#""Orders of the shop""#),
    ("a connector", "homepage", r#""https://shop.example.com/docs/api""#),
    ("a connector", "topics", r#"["code hosting"]"#),
    ("a connector", "matches", r#"["https://github.com/{owner}/{repo}/releases"]"#),
    ("a connector", "every", r#""5m""#),
    ("a connector", "schedule", r#""*/5 * * * *""#),
    ("a connector", "timezone", r#""Europe/Rome""#),
    ("a connector", "each", r#"[{"repo": "rust"}, {"repo": "cargo"}]"#),
    ("`request`", "url", r#""https://shop.example.com/api/orders""#),
    ("`request`", "query", r#"{"status": "open", "since": "{{ cursor }}"}"#),
    ("`request`", "headers", r#"{"Accept": "application/json"}"#),
    ("`request`", "body", r#"{"query": "{ orders { id } }"}"#),
    ("`response`", "items", r#"".orders[]""#),
    ("`response`", "error", r#"".error?""#),
    ("`item`", "key", r#"".id""#),
    ("`item`", "watch", r#"[".status", ".total"]"#),
    ("`item`", "ignore", r#"[".fetched_at"]"#),
    ("`item`", "filter", r#"".status != \"draft\"""#),
    ("`item`", "data", r#""{id, status, total}""#),
    ("`cursor`", "value", r#"".updated_at""#),
    ("`cursor`", "initial", r#""-24h""#),
    ("`cursor`", "overlap", r#""5m""#),
    ("`changes`", "first_poll", r#"{"latest": 5}"#),
    ("`hold_above`", "created", "1000"),
    ("`hold_above`", "removed", r#""20%""#),
    ("`html`", "items", r#""ul.news > li""#),
    ("`html`", "fields", r#"{"title": "h2", "link": {"select": "a", "attribute": "href"}}"#),
    ("`pagination.next_url`", "value", r#"".next""#),
    ("`pagination.cursor`", "token", r#"".next_cursor""#),
    ("`pagination.cursor`", "param", r#""cursor""#),
    ("`pagination.page`", "param", r#""page""#),
    ("`pagination.page`", "total_pages", r#"".total_pages""#),
    ("`pagination.offset`", "param", r#""offset""#),
    ("a subscription", "url", r#""https://erp.example.com/hooks/orders""#),
    ("a subscription", "connectors", r#"["orders", "github-*"]"#),
    ("a subscription", "events", r#"["created", "updated"]"#),
    ("a subscription", "filter", r#"".data.total > 100""#),
    ("a subscription", "secret", r#"{"env": "ERP_SECRET"}"#),
    ("a subscription", "body", r#""{text: \"Order \\(.key) is \\(.data.status)\"}""#),
    ("a subscription", "headers", r#"{"X-Team": "erp"}"#),
    ("a subscription", "rate", r#""50/s""#),
    ("a subscription", "give_up_on", r#"[400, "4xx"]"#),
    ("`server`", "token", r#"{"env": "POLLHOOK_TOKEN"}"#),
    ("the configuration", "hosts", r#"{"shop.example.com": {"rate": "10/s", "concurrency": 4}}"#),
    ("`auth.bearer`", "token", r#"{"env": "SHOP_TOKEN"}"#),
    ("`auth.header` or `auth.query`", "name", r#""X-Api-Key""#),
];

#[cfg(test)]
mod tests {
    use super::*;

    /// Calls a function for every key of every table, with the keys of its table.
    fn for_each(keys: &'static Keys, visit: &mut impl FnMut(&'static Keys, &'static Key)) {
        for key in keys.all {
            visit(keys, key);
            if let Some(keys) = key.kind.table() {
                for_each(keys, visit);
            }
        }
    }

    #[test]
    fn each_example_is_of_a_key_that_there_is() {
        let mut known = Vec::new();
        for_each(&ROOT, &mut |keys, key| known.push((keys.what, key.name)));
        for (what, name, example) in EXAMPLES {
            assert!(known.contains(&(*what, *name)), "{what}: {name}");
            serde_json::from_str::<Value>(example).unwrap_or_else(|error| panic!("{what}: {name}: {error}"));
        }
    }

    #[test]
    fn each_key_of_several_forms_says_which() {
        for_each(&ROOT, &mut |keys, key| {
            if matches!(key.kind, Kind::Forms | Kind::Map(&Kind::Forms)) {
                assert_ne!(forms(keys.what, key.name), json!({}), "{}: {}", keys.what, key.name);
            }
        });
    }

    #[test]
    fn each_default_is_what_its_kind_takes() {
        for_each(&ROOT, &mut |keys, key| {
            let Some(default) = key.default.map(|default| written(&key.kind, default)) else { return };
            let is_well = match &key.kind {
                Kind::Count(..) => default.is_u64(),
                Kind::Boolean => default.is_boolean(),
                Kind::Durations(..) | Kind::Choices(_) => default.is_array(),
                _ => default.is_string(),
            };
            assert!(is_well, "{}: {}: {default}", keys.what, key.name);
        });
    }
}
