//! What a connector is called if nobody says.

use std::net::IpAddr;

use url::{Host, Url};

use super::known::Known;
use crate::model::id::LONGEST_NAME;

/// Returns a name for a connector of an address: the site and what is listed there, such as `shop-orders`.
pub fn of_address(url: &Url) -> String {
    let listed = listed(url);
    let parts = [site(url), listed];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    name(&parts.join("-"))
}

/// Returns a name for a template with its params filled in, such as `github-releases-rust`.
pub fn of_known(known: &Known<'_>) -> String {
    let mut values = known.template.params.iter().filter_map(|param| known.params.get(&param.name));
    let last = values.next_back().map(|value| match value.parse::<Url>() {
        Ok(url) => site(&url).unwrap_or_default(),
        Err(_) => value.clone(),
    });
    name(&[Some(known.template.name.clone()), last].into_iter().flatten().collect::<Vec<_>>().join("-"))
}

/// Returns a name that none of these is: the same, or with a number behind it.
pub fn unused(wanted: &str, taken: &[&str]) -> String {
    if !taken.contains(&wanted) {
        return wanted.to_owned();
    }
    let numbered = (2..).map(|number: usize| {
        let tail = format!("-{number}");
        let kept: String = wanted.chars().take(LONGEST_NAME - tail.len()).collect();
        kept + &tail
    });
    numbered.into_iter().find(|name| !taken.contains(&name.as_str())).unwrap_or_default()
}

/// Returns whose address it is, in a word: `shop` for `https://api.shop.co.uk/`. An address of this machine is nobody's.
pub fn site(url: &Url) -> Option<String> {
    let Host::Domain(domain) = url.host()? else { return None };
    let labels: Vec<&str> = domain.trim_end_matches('.').split('.').collect();
    if domain == "localhost" || domain.parse::<IpAddr>().is_ok() {
        return None;
    }
    // Behind `co.uk` and `com.au` there is no list of such endings, only their look.
    let endings = match labels.as_slice() {
        [.., second, last] if last.len() == 2 && SECOND_LEVEL.contains(second) => 2,
        _ => 1,
    };
    let own = &labels[..labels.len().saturating_sub(endings)];
    own.last().or(labels.first()).map(|label| (*label).to_owned())
}

/// What stands before the name of a country where names are registered below it.
const SECOND_LEVEL: [&str; 7] = ["ac", "co", "com", "edu", "gov", "net", "org"];

/// Words in a path that do not say what is listed.
const SAY_NOTHING: [&str; 16] = [
    "all", "api", "atom", "data", "default", "feed", "feeds", "index", "json", "latest", "list", "public", "query",
    "rest", "rss", "xml",
];

/// Returns what an address lists: the last part of its path that is a word of its own.
fn listed(url: &Url) -> Option<String> {
    let parts = url.path_segments()?.filter(|part| !part.is_empty());
    let parts: Vec<String> = parts.map(|part| name(&decoded(stem(part)))).collect();
    let says_something = |part: &&String| {
        let is_version = part.strip_prefix('v').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
        !is_version
            && !part.chars().all(|c| c.is_ascii_digit() || matches!(c, '-' | '_'))
            && !SAY_NOTHING.contains(&part.as_str())
    };
    let last = parts.iter().rfind(says_something).or(parts.last())?;
    Some(last.clone())
}

fn decoded(text: &str) -> String {
    percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned()
}

/// Returns a file's name without its extension.
fn stem(part: &str) -> &str {
    match part.rsplit_once('.') {
        Some((stem, extension)) if !stem.is_empty() && extension.len() <= 7 => stem,
        _ => part,
    }
}

/// Returns a text as a name: what cannot be in one becomes `-`.
fn name(text: &str) -> String {
    let mut name = String::new();
    for c in text.chars().flat_map(char::to_lowercase) {
        match c {
            'a'..='z' | '0'..='9' => name.push(c),
            '_' if !name.is_empty() => name.push(c),
            _ if !name.is_empty() && !name.ends_with('-') => name.push('-'),
            _ => {}
        }
    }
    name.truncate(LONGEST_NAME);
    let name = name.trim_end_matches(['-', '_']).to_owned();
    match name.as_str() {
        "" => "source".to_owned(),
        // The service's own events have that name.
        "pollhook" => "pollhook-source".to_owned(),
        _ => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(address: &str, expected: &str) {
        assert_eq!(of_address(&address.parse().expect("an address")), expected, "{address}");
    }

    #[test]
    fn a_connector_is_called_after_the_site_and_what_it_lists() {
        check("https://api.shop.example/v2/Orders?page=1", "shop-orders");
        check("https://shop.co.uk/api/orders.json", "shop-orders");
        check("http://localhost:3000/posts", "posts");
        check("http://127.0.0.1:3000/", "source");
        check("https://blog.rust-lang.org/feed.xml", "rust-lang-feed");
        check("https://example.com/wp-json/wp/v2/posts", "example-posts");
        check("https://example.com/lists/7", "example-lists");
        check("https://example.com/", "example");
        check("https://example.com/a%20b", "example-a-b");
        check("http://pollhook/", "pollhook-source");
    }

    #[test]
    fn a_name_that_is_taken_gets_a_number() {
        assert_eq!(unused("a", &["b"]), "a");
        assert_eq!(unused("a", &["a", "a-2"]), "a-3");
        let long = "x".repeat(LONGEST_NAME);
        assert_eq!(unused(&long, &[&long]).len(), LONGEST_NAME);
    }
}
