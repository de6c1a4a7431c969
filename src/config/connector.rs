//! One connector: what was written, merged with its template, becomes what it means.

use chrono_tz::Tz;

use super::auth::auth;
use super::changes::changes;
use super::cursor::{check_cursor, cursor};
use super::detail::detail;
use super::digest::digest;
use super::keys::{ADAPTIVE, nearest};
use super::pagination::{names_pages, pagination};
use super::params::ParamValues;
use super::reader::{Fields, duration, one_or_list, text};
use super::request::request;
use super::response::response;
use super::secret::Scope;
use super::text::Texts;
use super::tls::tls;
use super::tree::NodeValue;
use crate::model::connector::{Connector, ItemRules, Params};
use crate::model::expression::Expression;
use crate::model::format::ResponseFormat;
use crate::model::id::ConnectorName;
use crate::model::quantity::format_duration;
use crate::model::schedule::{Adaptive, Cron, Schedule};
use crate::model::secret::Redactor;

/// Reads a connector; one whose name was wrong is read as well, for its other mistakes. `None` means that something is
/// wrong with it and was reported, or that a template cannot be checked further without params.
pub(super) fn connector(
    scope: Scope<'_>,
    name: Option<ConnectorName>,
    fields: &Fields<'_>,
    params: &ParamValues,
) -> Option<Connector> {
    let mut texts = Texts::new(scope, params, fields.place);
    let schedule = schedule(scope, fields);
    let pages = fields.table("pagination");
    let names = names_in_request(names_pages(pages.as_ref()), fields.entry("cursor").is_some());
    let request =
        required_table(fields, "request", "url").and_then(|fields| request(&texts.with_names(names), &fields));
    let auth = fields.table("auth").and_then(|fields| auth(&mut texts, &fields));
    let tls = fields.table("tls").and_then(|fields| tls(&mut texts, &fields));
    let pagination = pagination(pages.as_ref(), request.as_ref());
    let response = response(fields);
    let format = response.as_ref().and_then(|response| response.format.as_ref());
    let item = match format {
        // Each item of a feed has an id.
        Some(ResponseFormat::Feed) => fields.table_or_empty("item").and_then(|fields| item(&fields, Some(".id"))),
        _ => required_table(fields, "item", "key").and_then(|fields| item(&fields, None)),
    };
    let changes = changes(fields);
    let cursor = match fields.table("cursor") {
        Some(fields) => cursor(&fields).map(Some),
        None => Some(None),
    };
    let detail = match fields.table("detail") {
        Some(fields) => detail(&texts, &fields).map(Some),
        None => Some(None),
    };
    let limits = fields.table_or_empty("limits")?;
    let (title, jitter) = (fields.text("title"), fields.duration("jitter"));
    let (request, pagination, response, item, changes) = (request?, pagination?, response?, item?, changes?);
    let cursor = cursor?;
    if let Some(cursor) = &cursor
        && !check_cursor(fields, &request, cursor)
    {
        return None;
    }
    let digest = digest(&texts, &request, &pagination, &response, &item, cursor.as_ref(), &changes);
    Some(Connector {
        events_as: name.clone()?,
        name: name?,
        element: None,
        title: title.map(str::to_owned),
        schedule: schedule?,
        jitter: jitter?,
        params: Params(params.all()),
        request,
        auth,
        tls,
        pagination,
        response,
        item,
        cursor,
        detail: detail?,
        changes,
        rate: limits.rate("rate"),
        silence: limits.duration("silence"),
        digest,
        redactor: Redactor::new(texts.secrets),
    })
}

/// Returns what a connector's request can refer to, beside `params` and `now`.
fn names_in_request(pages: bool, cursor: bool) -> &'static [&'static str] {
    match (pages, cursor) {
        (false, false) => &[],
        (true, false) => &["page"],
        (false, true) => &["cursor"],
        (true, true) => &["cursor", "page"],
    }
}

/// Returns a table that must be written because something in it must.
pub(super) fn required_table<'a>(fields: &Fields<'a>, name: &str, wanted: &str) -> Option<Fields<'a>> {
    if fields.entry(name).is_none() && !fields.is_meant(&format!("{name}.{wanted}")) && !fields.is_meant(name) {
        let message = format!("`{name}.{wanted}` is missing in {}", fields.keys.what);
        fields.report.error_with_help(fields.place, message, fields.keys.get(name).map_or("", |key| key.doc));
    }
    fields.table(name)
}

fn schedule(scope: Scope<'_>, fields: &Fields<'_>) -> Option<Schedule> {
    let zone = timezone(fields);
    if let Some(entry) = fields.entry("every") {
        return match &entry.node.value {
            NodeValue::Table(table) => adaptive(&Fields::new(fields.report, table, entry.key_place, &ADAPTIVE)),
            _ => duration(fields.report, &entry.node, "1s", "366d").map(Schedule::Every),
        };
    }
    let Some(entry) = fields.entry("schedule") else {
        if scope.environment.is_some() {
            let help = "write every = \"5m\", or schedule = \"*/5 * * * *\"";
            fields.report.error_with_help(fields.place, "`every` or `schedule` is missing in a connector", help);
            return None;
        }
        return Some(Schedule::Every(std::time::Duration::from_secs(60)));
    };
    match Cron::parse(text(fields.report, &entry.node)?, zone?) {
        Ok(cron) => Some(Schedule::Cron(cron)),
        Err(error) => {
            fields.report.error(entry.node.place, error.message);
            None
        }
    }
}

fn adaptive(fields: &Fields<'_>) -> Option<Schedule> {
    let (min, max) = (fields.required("min"), fields.required("max"));
    let (shortest, longest) = (min.and(fields.duration("min")), max.and(fields.duration("max")));
    let (min, max) = (shortest?, longest?);
    if min > max {
        let place = fields.entry("max").map_or(fields.place, |entry| entry.node.place);
        fields.report.error(place, format!("`max` must be at least `min`, which is {}", format_duration(min)));
        return None;
    }
    Some(Schedule::Adaptive(Adaptive { min, max }))
}

fn timezone(fields: &Fields<'_>) -> Option<Tz> {
    let written = fields.text("timezone")?;
    let zone = written.parse::<Tz>().ok();
    if zone.is_none() {
        let place = fields.entry("timezone").map_or(fields.place, |entry| entry.node.place);
        let help = match nearest(written, chrono_tz::TZ_VARIANTS.iter().map(|zone| zone.name())) {
            Some(suggestion) => format!("did you mean \"{suggestion}\"?"),
            None => "names are those of the IANA database, such as \"Europe/Rome\"".to_owned(),
        };
        fields.report.error_with_help(place, format!("there is no time zone \"{written}\""), help);
    }
    zone
}

fn item(fields: &Fields<'_>, usual_key: Option<&str>) -> Option<ItemRules> {
    let key = match usual_key.filter(|_| fields.entry("key").is_none()) {
        Some(key) => Expression::parse(key).ok().map(|key| vec![key]),
        None => fields.required("key").and_then(|_| fields.expressions("key")),
    };
    if let Some(entry) = fields.entry("key")
        && one_or_list(&entry.node).is_empty()
    {
        fields.report.error(entry.node.place, "a key needs at least one expression");
    }
    let (watch, ignore) = (fields.expressions("watch"), fields.expressions("ignore").unwrap_or_default());
    let (filter, data) = (fields.expression("filter"), fields.expression("data"));
    Some(ItemRules { key: key.filter(|key| !key.is_empty())?, watch, ignore, filter, data })
}
