//! Addresses that a template of the catalogue is made for.
//!
//! A pattern is an address. `{param}` stands for one part of it, which has no `/` in it, and gives the param its value; at
//! the very beginning it stands for scheme and host, such as `https://status.example.com`. `{param:shape}` stands for a
//! part that looks like this, at the very beginning for one with scheme and host: `?` is a letter or a digit, `*` any run
//! of characters, `/` included. `*` outside of a param stands for any run of characters as well. What a pattern says in a
//! query must be in the address's, in whatever order; the rest of that does not count. `www.`, a slash at the end and what
//! is behind `#` do not count either.

use std::collections::BTreeMap;

use percent_encoding::percent_decode_str;
use url::Url;

use crate::config::CatalogTemplate;

/// A template that an address is known for.
#[derive(Debug, Clone)]
pub struct Known<'a> {
    pub template: &'a CatalogTemplate,
    /// What the address says of its params.
    pub params: BTreeMap<String, String>,
}

impl Known<'_> {
    /// Returns the params that have to be given and that the address does not tell.
    pub fn missing(&self) -> impl Iterator<Item = &str> {
        let params = self.template.params.iter();
        let missing = params.filter(|param| param.default.is_none() && !self.params.contains_key(&param.name));
        missing.map(|param| param.name.as_str())
    }
}

/// Returns the template whose pattern says most of this address. Of templates of the same name, the first one counts.
pub fn find<'a>(address: &Url, templates: impl IntoIterator<Item = &'a CatalogTemplate>) -> Option<Known<'a>> {
    let mut seen = Vec::new();
    let mut best: Option<(usize, Known<'a>)> = None;
    for template in templates {
        if seen.contains(&template.name.as_str()) {
            continue;
        }
        seen.push(&template.name);
        for pattern in &template.matches {
            let Some(params) = matched(pattern, address) else { continue };
            if params.keys().any(|name| template.params.iter().all(|param| param.name != *name)) {
                continue;
            }
            let said = literal_characters(pattern);
            if best.as_ref().is_none_or(|(most, _)| said > *most) {
                best = Some((said, Known { template, params }));
            }
        }
    }
    best.map(|(_, known)| known)
}

type Values = BTreeMap<String, String>;

/// Returns the values that a pattern finds in an address; `None` if it is another kind of address.
fn matched(pattern: &str, address: &Url) -> Option<Values> {
    let host = address.host_str()?;
    let port = address.port().map(|port| format!(":{port}")).unwrap_or_default();
    let (pattern, query) = split_query(pattern);
    let pattern = pattern.split('#').next().unwrap_or_default().trim_end_matches('/');
    let path = address.path().trim_end_matches('/');
    let mut values = Values::new();
    let site = format!("{}://{host}{port}", address.scheme());
    let rest = match leading_param(pattern) {
        Some((Placeholder { name, shape: None }, rest)) => {
            values.insert(name.to_owned(), site);
            run(rest, path, &mut values)
        }
        Some(_) => run(pattern, &(site + path), &mut values),
        None => {
            let pattern = pattern.split_once("://").map_or(pattern, |(_, rest)| rest);
            let plain = format!("{}{port}{path}", host.trim_start_matches("www."));
            run(pattern.trim_start_matches("www."), &plain, &mut values)
        }
    };
    let pairs: Vec<(String, String)> = address.query_pairs().into_owned().collect();
    let in_query = |values: &mut Values| {
        query.split('&').filter(|pair| !pair.is_empty()).all(|pair| {
            let (name, wanted) = pair.split_once('=').unwrap_or((pair, "*"));
            pairs.iter().any(|(known, value)| known == name && run_whole(wanted, value, values))
        })
    };
    (rest && in_query(&mut values)).then_some(values)
}

/// A param in a pattern.
struct Placeholder<'a> {
    name: &'a str,
    /// What its value looks like, if the pattern says so.
    shape: Option<&'a str>,
}

/// Returns the param that a pattern begins with, and what follows it.
fn leading_param(pattern: &str) -> Option<(Placeholder<'_>, &str)> {
    let (inside, rest) = pattern.strip_prefix('{')?.split_once('}')?;
    let (name, shape) = inside.split_once(':').map_or((inside, None), |(name, shape)| (name, Some(shape)));
    Some((Placeholder { name, shape }, rest))
}

/// Tells whether a value looks as a shape says: `?` is a letter or a digit, `*` any run of characters.
fn has_shape(shape: &str, value: &str) -> bool {
    match shape.chars().next() {
        None => value.is_empty(),
        Some('*') => ends(value).any(|end| has_shape(&shape[1..], &value[end..])),
        Some('?') => value.starts_with(|c: char| c.is_ascii_alphanumeric()) && has_shape(&shape[1..], &value[1..]),
        Some(c) => value.strip_prefix(c).is_some_and(|value| has_shape(&shape[c.len_utf8()..], value)),
    }
}

/// Returns where a piece of this text may end, the whole of it first.
fn ends(text: &str) -> impl Iterator<Item = usize> {
    let inner: Vec<usize> = text.char_indices().map(|(at, _)| at).collect();
    std::iter::once(text.len()).chain(inner.into_iter().rev())
}

/// Returns a pattern's address and query. A question mark in a param's shape begins none.
fn split_query(pattern: &str) -> (&str, &str) {
    let mut inside = false;
    let mark = pattern.find(|c| {
        inside = (inside || c == '{') && c != '}';
        !inside && c == '?'
    });
    mark.map_or((pattern, ""), |mark| (&pattern[..mark], &pattern[mark + 1..]))
}

/// Tells whether a text is what a pattern describes, and takes down what stands where its params are; these are decoded.
fn run(pattern: &str, text: &str, values: &mut Values) -> bool {
    run_to(pattern, text, values, &|c| c != '/')
}

/// The same for the value of a query's parameter, in which a param may have any characters.
fn run_whole(pattern: &str, text: &str, values: &mut Values) -> bool {
    run_to(pattern, text, values, &|_| true)
}

fn run_to(pattern: &str, text: &str, values: &mut Values, allowed: &dyn Fn(char) -> bool) -> bool {
    if let Some((Placeholder { name, shape }, rest)) = leading_param(pattern) {
        let longest = if shape.is_some() { None } else { text.find(|c| !allowed(c)) }.unwrap_or(text.len());
        return ends(&text[..longest]).filter(|end| *end > 0).any(|end| {
            let value = percent_decode_str(&text[..end]).decode_utf8_lossy().into_owned();
            if shape.is_some_and(|shape| !has_shape(shape, &value)) {
                return false;
            }
            if let Some(known) = values.get(name) {
                return *known == value && run_to(rest, &text[end..], values, allowed);
            }
            values.insert(name.to_owned(), value);
            let matches = run_to(rest, &text[end..], values, allowed);
            if !matches {
                values.remove(name);
            }
            matches
        });
    }
    match pattern.chars().next() {
        None => text.is_empty(),
        Some('*') => ends(text).any(|end| run_to(&pattern[1..], &text[end..], values, allowed)),
        Some(c) => text.strip_prefix(c).is_some_and(|text| run_to(&pattern[c.len_utf8()..], text, values, allowed)),
    }
}

/// Returns how many characters of an address a pattern says itself, also in the shapes of its params.
fn literal_characters(pattern: &str) -> usize {
    let said = |text: &str| text.chars().filter(|c| !matches!(c, '*' | '?')).count();
    let pieces = pattern.split('{').map(|piece| match piece.split_once('}') {
        Some((param, after)) => param.split_once(':').map_or(0, |(_, shape)| said(shape)) + said(after),
        None => said(piece),
    });
    pieces.sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Param, ready_made};

    #[track_caller]
    fn check(pattern: &str, address: &str, expected: Option<&str>) {
        let found = matched(pattern, &address.parse().expect("an address"));
        let shown = found.map(|values| {
            let values: Vec<String> = values.iter().map(|(name, value)| format!("{name}={value}")).collect();
            values.join(" ")
        });
        assert_eq!(shown.as_deref(), expected, "{pattern} {address}");
    }

    #[test]
    fn a_pattern_gives_params_the_parts_that_stand_in_their_place() {
        let releases = "https://github.com/{owner}/{repo}/releases";
        check(releases, "https://github.com/rust-lang/rust/releases", Some("owner=rust-lang repo=rust"));
        check(releases, "http://www.github.com/rust-lang/rust/releases/?page=2#top", Some("owner=rust-lang repo=rust"));
        check(releases, "https://github.com/rust-lang/rust", None);
        check(releases, "https://github.com/rust-lang/rust/releases/tag/1", None);
        check(releases, "https://github.com//rust/releases", None);
        check("https://{site}.example.com/", "https://a.b.example.com", Some("site=a.b"));
        check("https://example.com/r/{name}.json", "https://example.com/r/rust.json", Some("name=rust"));
        check("https://example.com/{name}", "https://example.com/a%20b", Some("name=a b"));
        check("https://example.com/{a}/{a}", "https://example.com/x/y", None);
        check("https://example.com:8080/{a}", "https://example.com:8080/x", Some("a=x"));
        check("https://example.com/{a}", "https://example.com:8080/x", None);
    }

    #[test]
    fn a_star_is_any_run_and_a_param_at_the_beginning_the_whole_host() {
        check("https://example.com/@{scope}/*", "https://example.com/@types/node/v/1", Some("scope=types"));
        check("https://news.example.com/*", "https://news.example.com/newest", Some(""));
        check(
            "{page}/api/v2/incidents.json",
            "https://www.s.example/api/v2/incidents.json",
            Some("page=https://www.s.example"),
        );
        check("{page}/history", "http://127.0.0.1:8080/history/", Some("page=http://127.0.0.1:8080"));
        check("{page}/history", "http://127.0.0.1:8080/other", None);
    }

    #[test]
    fn a_param_with_a_shape_is_what_looks_like_it() {
        let rows = "https://{host}/resource/{set:????-????}.json?$limit={limit}";
        check(rows, "https://d.example/resource/h9gi-nx95.json?$limit=5", Some("host=d.example limit=5 set=h9gi-nx95"));
        check(rows, "https://d.example/resource/h9gi-nx95.json", None);
        check(rows, "https://d.example/resource/h9g-inx95.json?$limit=5", None);
        check(rows, "https://d.example/resource/h9g\u{e9}-nx95.json?$limit=5", None);
        let releases = "https://git.example/{group:*}/{project}/-/releases";
        check(releases, "https://git.example/a/b/-/releases", Some("group=a project=b"));
        check(releases, "https://git.example/a/b/c/d/-/releases", Some("group=a/b/c project=d"));
        check(releases, "https://git.example/a/-/releases", None);
        let one_of_some = "{server:https://git.example}/{owner}";
        check(one_of_some, "https://git.example/ada", Some("owner=ada server=https://git.example"));
        check(one_of_some, "https://other.example/ada", None);
        let below = "{board:https://www.status.example/board}/*";
        check(below, "https://www.status.example/board/5#now", Some("board=https://www.status.example/board"));
        check(below, "https://www.status.example/other/5", None);
    }

    #[test]
    fn a_query_counts_only_where_the_pattern_has_one() {
        let tagged = "https://example.com/questions?tag={tag}&sort=new";
        check(tagged, "https://example.com/questions?x=1&sort=new&tag=a/b", Some("tag=a/b"));
        check(tagged, "https://example.com/questions?tag=a", None);
        check("https://example.com/questions", "https://example.com/questions?tag=a", Some(""));
    }

    #[test]
    fn the_pattern_that_says_most_wins_and_a_param_that_is_not_there_is_none() {
        let template = |name: &str, matches: &[&str]| CatalogTemplate {
            name: name.to_owned(),
            matches: matches.iter().map(|pattern| (*pattern).to_owned()).collect(),
            params: vec![Param { name: "a".into(), description: None, example: None, default: None, secret: false }],
            ..CatalogTemplate::default()
        };
        let templates = [
            template("any", &["https://example.com/{a}/*"]),
            template("x", &["https://example.com/{a}/x"]),
            template("wrong", &["https://example.com/{b}/xyz"]),
        ];
        let found = |address: &str| {
            find(&address.parse().expect("an address"), &templates).map(|known| known.template.name.clone())
        };
        assert_eq!(found("https://example.com/1/x").as_deref(), Some("x"));
        assert_eq!(found("https://example.com/1/xyz").as_deref(), Some("any"));
        assert_eq!(found("https://example.org/1/x"), None);
    }

    #[track_caller]
    fn check_ready_made(address: &str, expected: Option<(&str, &[(&str, &str)])>) {
        let templates = ready_made();
        let found = find(&address.parse().expect("an address"), &templates);
        let found = found.map(|known| (known.template.name.clone(), known.params));
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let expected = expected.map(|(name, params)| (name.to_owned(), params.iter().map(owned).collect()));
        assert_eq!(found, expected, "{address}");
    }

    #[test]
    fn a_gitlab_project_may_be_in_groups_of_groups_on_any_server() {
        let runner = [("group", "gitlab-org"), ("project", "gitlab-runner")];
        check_ready_made("https://gitlab.com/gitlab-org/gitlab-runner/-/releases", Some(("gitlab-releases", &runner)));
        let deep = [("group", "a/b/c"), ("project", "d")];
        check_ready_made("https://gitlab.com/a/b/c/d/-/releases", Some(("gitlab-releases", &deep)));
        check_ready_made("https://gitlab.com/a/b/c/d/-/merge_requests", Some(("gitlab-merge-requests", &deep)));
        let elsewhere = [("group", "a/b"), ("project", "c"), ("server", "https://git.example:8443")];
        check_ready_made("https://git.example:8443/a/b/c/-/releases/", Some(("gitlab-releases", &elsewhere)));
        check_ready_made("https://gitlab.com/a/b/c/d/-/issues", None);
        check_ready_made("https://gitlab.com/a/-/releases", None);
    }

    #[test]
    fn a_socrata_dataset_is_known_by_its_two_times_four_characters() {
        let rows = [("dataset", "h9gi-nx95"), ("host", "data.cityofnewyork.us")];
        let expected = Some(("socrata-dataset", &rows[..]));
        check_ready_made("https://data.cityofnewyork.us/resource/h9gi-nx95.json", expected);
        check_ready_made("https://data.cityofnewyork.us/resource/h9gi-nx95.json?$limit=10", expected);
        check_ready_made("https://data.cityofnewyork.us/d/h9gi-nx95", expected);
        check_ready_made("https://data.cityofnewyork.us/Public-Safety/Crashes/h9gi-nx95/about_data", expected);
        check_ready_made("https://shop.example.com/resource/orders.json", None);
        check_ready_made("https://shop.example.com/resource/open-orders.json", None);
    }

    #[test]
    fn a_host_other_than_the_default_one_is_taken_down() {
        let forgejo = [("owner", "forgejo"), ("repo", "forgejo")];
        check_ready_made("https://codeberg.org/forgejo/forgejo/releases", Some(("gitea-releases", &forgejo)));
        let tea = [("owner", "gitea"), ("repo", "tea"), ("server", "https://gitea.com")];
        check_ready_made("https://gitea.com/gitea/tea/releases", Some(("gitea-releases", &tea)));
        let workspace = [("dashboard", "https://www.google.com/appsstatus/dashboard")];
        let expected = Some(("google-cloud-status", &workspace[..]));
        check_ready_made("https://www.google.com/appsstatus/dashboard/", expected);
        check_ready_made("https://www.google.com/appsstatus/dashboard/summary", expected);
        check_ready_made("https://status.cloud.google.com/summary", Some(("google-cloud-status", &[])));
        let europe = [("host", "api.eu.pagerduty.com")];
        check_ready_made("https://api.eu.pagerduty.com/incidents", Some(("pagerduty-incidents", &europe)));
        check_ready_made("https://hub.docker.com/_/redis/tags", Some(("docker-hub-tags", &[("repository", "redis")])));
    }

    #[test]
    fn params_whose_values_have_slashes_are_found_whole() {
        let node = [("package", "@types/node")];
        for address in ["package/@types/node", "package/@types/node/v/22.0.0", "package/@types/node?activeTab=versions"]
        {
            check_ready_made(&format!("https://www.npmjs.com/{address}"), Some(("npm-package", &node)));
        }
        check_ready_made("https://registry.npmjs.org/@types%2fnode", Some(("npm-package", &node)));
        check_ready_made(
            "https://www.npmjs.com/package/left-pad/v/1.3.0",
            Some(("npm-package", &[("package", "left-pad")])),
        );
        let branch = [("branch", "feature/cards"), ("owner", "ada"), ("repo", "cards")];
        check_ready_made("https://github.com/ada/cards/commits/feature/cards", Some(("github-commits", &branch)));
        let news = [("site", "wordpress.org/news")];
        check_ready_made("https://wordpress.org/news/wp-json/wp/v2/posts?page=2", Some(("wordpress-posts", &news)));
        let data = [("host", "example.org/data")];
        check_ready_made("https://example.org/data/api/3/action/package_search?q=x", Some(("ckan-datasets", &data)));
    }

    #[test]
    fn the_patterns_of_the_ready_made_templates_name_their_params() {
        for template in ready_made() {
            for pattern in &template.matches {
                for name in pattern.split('{').skip(1).filter_map(|part| part.split([':', '}']).next()) {
                    let is_declared = template.params.iter().any(|param| param.name == name);
                    assert!(is_declared, "{}: {pattern}: there is no param {name}", template.name);
                }
            }
        }
    }
}
