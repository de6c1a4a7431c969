//! `link` and `next_url`: the source names the address of the next page.

use url::{Origin, Url};

use super::At;
use crate::model::connector::Connector;
use crate::model::excerpt::Excerpt;
use crate::model::pagination::PagingStyle;
use crate::poll::auth;
use crate::poll::error::PageError;

/// Returns the page that an address leads to which was found on a page at `url`. It is on the origin of that page or of
/// the connector's first page, `home`, or on one that the connector allows.
pub(super) fn follow(connector: &Connector, home: &Url, url: &Url, target: &str) -> Result<At, PageError> {
    let Some(mut next) = resolve(url, target) else {
        return Err(PageError::Link { excerpt: Excerpt::of(&connector.redactor, target.as_bytes()) });
    };
    let is_upgrade = home.scheme() == "http" && next.scheme() == "https" && home.host() == next.host();
    let origin = next.origin();
    if !is_upgrade && ![home.origin(), url.origin()].contains(&origin) && !allows(connector, &origin) {
        let style = if matches!(connector.pagination.style, PagingStyle::Link) { "link" } else { "next_url" };
        return Err(PageError::Origin {
            style,
            next: origin.ascii_serialization(),
            home: home.origin().ascii_serialization(),
        });
    }
    auth::forget_query_auth(connector, &mut next);
    Ok(At::Url(next))
}

fn allows(connector: &Connector, origin: &Origin) -> bool {
    let origin = origin.ascii_serialization();
    connector.pagination.origins.contains(&origin)
}

/// Returns the web address that a link on a page leads to.
fn resolve(page: &Url, target: &str) -> Option<Url> {
    let mut next = page.join(target).ok().filter(|next| matches!(next.scheme(), "http" | "https"))?;
    next.set_fragment(None);
    // Behind a proxy that ends TLS, many a server believes that it was called by plain HTTP.
    if page.scheme() == "https" && next.scheme() == "http" && next.host() == page.host() && next.port().is_none() {
        next.set_scheme("https").expect("one web scheme can replace another");
        next.set_port(page.port()).expect("a web address can have a port");
    }
    Some(next)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_lead_to_web_addresses_and_not_out_of_tls_by_mistake() {
        let check = |page: &str, target: &str, expected: Option<&str>| {
            let next = resolve(&page.parse().expect("an address"), target);
            assert_eq!(next.as_ref().map(Url::as_str), expected, "{target}");
        };
        check("https://a.example/x/y?p=1", "?p=2#top", Some("https://a.example/x/y?p=2"));
        check("https://a.example/x/y", "../z", Some("https://a.example/z"));
        check("https://a.example/x", "//b.example/y", Some("https://b.example/y"));
        check("https://a.example/x", "http://a.example/y", Some("https://a.example/y"));
        check("https://a.example:8443/x", "http://a.example/y", Some("https://a.example:8443/y"));
        check("https://a.example/x", "http://b.example/y", Some("http://b.example/y"));
        check("http://a.example/x", "http://a.example/y", Some("http://a.example/y"));
        check("https://a.example/x", "ftp://a.example/y", None);
        check("https://a.example/x", "http://[", None);
    }
}
