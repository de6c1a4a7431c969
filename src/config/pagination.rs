//! How the pages after the first are found.

use url::Url;

use super::reader::Fields;
use super::request::{is_header_name, refers_to};
use super::tree::Entry;
use crate::model::connector::{JsonTemplate, Method, Request, RequestBody};
use crate::model::pagination::{PageParam, PageSize, Pagination, PagingStyle, StopRule, TokenSource};

/// Tells whether there is a `{{ page }}` with this pagination.
pub(super) fn names_pages(fields: Option<&Fields<'_>>) -> bool {
    fields.is_some_and(|fields| ["cursor", "page", "offset"].iter().any(|style| fields.entry(style).is_some()))
}

/// Reads `pagination`. What does not fit the connector's request is reported, if that is known.
pub(super) fn pagination(fields: Option<&Fields<'_>>, request: Option<&Request>) -> Option<Pagination> {
    let single = Pagination { style: PagingStyle::Single, max_pages: 1, stop: None, origins: Vec::new() };
    let Some(fields) = fields else { return Some(single) };
    let style = |name| fields.table(name);
    if let Some(fields) = style("link") {
        return common(&fields, Some(PagingStyle::Link));
    }
    if let Some(fields) = style("next_url") {
        let address = header_or(&fields, "value");
        return common(&fields, address.map(|address| PagingStyle::NextUrl { address }));
    }
    if let Some(fields) = style("cursor") {
        return common(&fields, cursor(&Params { fields, request }));
    }
    if let Some(fields) = style("page") {
        return common(&fields, page(&Params { fields, request }));
    }
    if let Some(fields) = style("offset") {
        return common(&fields, offset(&Params { fields, request }));
    }
    fields.table.entries.is_empty().then_some(single)
}

fn common(fields: &Fields<'_>, style: Option<PagingStyle>) -> Option<Pagination> {
    let max_pages = fields.count("max_pages").and_then(|count| usize::try_from(count).ok());
    let stop = fields.choice("stop", &[StopRule::Known]);
    let origins = if fields.keys.get("origins").is_some() { origins(fields) } else { Some(Vec::new()) };
    Some(Pagination { style: style?, max_pages: max_pages?, stop, origins: origins? })
}

fn cursor(params: &Params<'_>) -> Option<PagingStyle> {
    let fields = &params.fields;
    let token = header_or(fields, "token");
    let (param, more) = (params.page(), fields.expression("more"));
    params.check_first_page();
    Some(PagingStyle::Cursor { token: token?, param: param?, more })
}

fn page(params: &Params<'_>) -> Option<PagingStyle> {
    let fields = &params.fields;
    let (param, start, size) = (params.page(), fields.count("start"), params.size());
    if fields.entry("size").is_none()
        && let Some(entry) = fields.entry("size_param")
    {
        let help = "write `size` beside it, such as size = 100";
        fields.report.error_with_help(entry.key_place, "`size_param` needs a `size`", help);
    }
    Some(PagingStyle::Page {
        start: start?,
        param: param?,
        size,
        total_pages: fields.expression("total_pages"),
        total: fields.expression("total"),
        more: fields.expression("more"),
    })
}

fn offset(params: &Params<'_>) -> Option<PagingStyle> {
    let fields = &params.fields;
    fields.required("size");
    let (param, start, size, overlap) = (params.page(), fields.count("start"), params.size(), fields.count("overlap"));
    let (total, more) = (fields.expression("total"), fields.expression("more"));
    let (size, overlap) = (size?, overlap?);
    if overlap >= size.items {
        let place = fields.entry("overlap").map_or(fields.place, |entry| entry.node.place);
        let help = "each page must show something new; 1 is enough to notice that items have moved";
        fields.report.error_with_help(place, format!("`overlap` must be less than `size`, {}", size.items), help);
        return None;
    }
    Some(PagingStyle::Offset { start: start?, param: param?, size, total, more, overlap })
}

/// Reads where the next page's token or address stands: in `header`, or else where an expression finds it.
fn header_or(fields: &Fields<'_>, expression: &str) -> Option<TokenSource> {
    match fields.entry("header") {
        Some(_) => header(fields).map(TokenSource::Header),
        None => fields.required(expression).and_then(|_| fields.expression(expression)).map(TokenSource::Body),
    }
}

fn header(fields: &Fields<'_>) -> Option<String> {
    let name = fields.text("header")?;
    if !is_header_name(name) {
        let place = fields.entry("header").map_or(fields.place, |entry| entry.node.place);
        fields.report.error(place, format!("`{name}` cannot be the name of a header"));
        return None;
    }
    Some(name.to_owned())
}

fn origins(fields: &Fields<'_>) -> Option<Vec<String>> {
    let texts = fields.texts("origins");
    let mut origins = Vec::with_capacity(texts.len());
    for (text, node) in &texts {
        match text.parse::<Url>().ok().filter(is_origin) {
            Some(url) => origins.push(url.origin().ascii_serialization()),
            None => {
                let help = "write a scheme and a host, such as \"https://b.example\"";
                fields.report.error_with_help(node.place, "this is no origin", help);
            }
        }
    }
    (origins.len() == texts.len()).then_some(origins)
}

fn is_origin(url: &Url) -> bool {
    let bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
    bare && matches!(url.scheme(), "http" | "https") && url.username().is_empty() && url.password().is_none()
}

/// Reads what the request of a page carries.
struct Params<'a> {
    fields: Fields<'a>,
    request: Option<&'a Request>,
}

#[derive(Clone, Copy)]
enum Place {
    Query,
    Body,
}

impl Params<'_> {
    /// Returns where the page's number, offset or token goes.
    fn page(&self) -> Option<PageParam> {
        if let Some(entry) = self.fields.entry("param") {
            return self.param(entry, self.fields.text("param")?);
        }
        if !self.request.is_none_or(|request| refers_to(request, "page")) {
            let message = format!("`param` is missing in {}", self.fields.keys.what);
            let help = "the request does not say which page it is for: write for example param = \"page\", or \
                        `{{ page }}` where it belongs in `request`";
            self.fields.report.error_with_help(self.fields.place, message, help);
            return None;
        }
        Some(PageParam::Template)
    }

    /// Reports a request that cannot be made for the first page, which has no token.
    fn check_first_page(&self) {
        let Some(request) = self.request else { return };
        let in_body = matches!(&request.body, Some(RequestBody::Text(text)) if text.refers_to("page"));
        let part = if request.url.refers_to("page") { "url" } else { "body" };
        if in_body || part == "url" {
            let message = format!("`request.{part}` has `{{{{ page }}}}`, and the first page has no token");
            let help = "write it where it can be left out, such as request.query.cursor = \"{{ page }}\"";
            self.fields.report.error_with_help(self.fields.place, message, help);
        }
    }

    /// Returns how many items a page has, if that is written and right.
    fn size(&self) -> Option<PageSize> {
        let name = self.fields.entry("size_param").zip(self.fields.text("size_param"));
        let param = name.and_then(|(entry, name)| self.param(entry, name));
        self.fields.count("size").map(|items| PageSize { items, param })
    }

    fn param(&self, entry: &Entry, name: &str) -> Option<PageParam> {
        let report = self.fields.report;
        let place = self.fields.choice("in", &[Place::Query, Place::Body])?;
        let names: Vec<String> = match place {
            Place::Query => vec![name.to_owned()],
            Place::Body => name.split('.').map(str::to_owned).collect(),
        };
        if names.iter().any(String::is_empty) {
            report.error(entry.node.place, "this is no name of a parameter");
            return None;
        }
        match place {
            Place::Query => Some(PageParam::Query(names.into_iter().next()?)),
            Place::Body => self.has_body().then_some(PageParam::Body(names)),
        }
    }

    /// Reports a request whose body can carry nothing more.
    fn has_body(&self) -> bool {
        let Some(request) = self.request else { return true };
        let (message, help) = match (request.method, &request.body) {
            (Method::Get, _) => ("a GET has no body", "write request.method = \"POST\", or leave `in` out"),
            (_, Some(RequestBody::Text(_))) => (
                "the request's body is a text, which nothing can be put into",
                "write it as a table, or with `{{ page }}` in it instead of `param`",
            ),
            (_, Some(RequestBody::Json(JsonTemplate::Array(_) | JsonTemplate::Text(_) | JsonTemplate::Other(_)))) => (
                "the request's body is no object, so that nothing can be put into it",
                "write it as a table, or with `{{ page }}` in it instead of `param`",
            ),
            (_, None | Some(RequestBody::Form(_) | RequestBody::Json(JsonTemplate::Object(_)))) => return true,
        };
        let place = self.fields.entry("in").map_or(self.fields.place, |entry| entry.node.place);
        self.fields.report.error_with_help(place, message, help);
        false
    }
}
