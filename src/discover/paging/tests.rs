use bytes::Bytes;
use serde_json::{Value, json};

use super::*;
use crate::config::{Environment, load};
use crate::discover::Answer;
use crate::http::header::{HeaderName, HeaderValue};

fn answer(url: &str, headers: &[(&str, &str)], body: &Value) -> Answer {
    let header = |(name, value): &(&str, &str)| {
        let name: HeaderName = name.parse().expect("a name");
        (name, HeaderValue::from_str(value).expect("a value"))
    };
    let mut map = HeaderMap::new();
    for (name, value) in headers.iter().map(header) {
        map.append(name, value);
    }
    Answer { url: url.parse().expect("an address"), status: 200, headers: map, body: Bytes::from(body.to_string()) }
}

fn found(url: &str, headers: &[(&str, &str)], items: &str, body: &Value) -> Paging {
    let answer = answer(url, headers, body);
    let page = Page { answer: &answer, format: ResponseFormat::Json, value: body.clone() };
    let listing = Listing::of(&page, items).expect("items");
    let paging = find(&page, &listing);
    it_loads(url, &paging.finding);
    paging
}

/// Fails unless a connector with these settings can be loaded.
fn it_loads(url: &str, finding: &Finding) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("config.toml");
    let mut text = format!("[connectors.x]\nevery = \"1m\"\nrequest.url = '{url}'\nitem.key = \".id\"\n");
    for Setting { path, value } in &finding.settings {
        let value =
            if value.as_object().is_some_and(serde_json::Map::is_empty) { "{}".to_owned() } else { value.to_string() };
        text.extend([path.as_str(), " = ", &value, "\n"]);
    }
    std::fs::write(&path, &text).expect("a file");
    if let Err(mistakes) = load(&path, &Environment::default()) {
        panic!("{text}\n{mistakes}");
    }
}

/// Returns settings, without what all of them begin with.
fn written(finding: &Finding) -> String {
    let of = |Setting { path, value }: &Setting| {
        let path = path.strip_prefix("pagination.").expect("a setting of paging");
        match value {
            Value::String(text) => format!("{path} = {text}"),
            value => format!("{path} = {value}"),
        }
    };
    finding.settings.iter().map(of).collect::<Vec<_>>().join("; ")
}

#[track_caller]
fn check_all(url: &str, headers: &[(&str, &str)], items: &str, body: &Value, expected: (&str, Sureness)) {
    let Paging { finding, .. } = found(url, headers, items, body);
    assert_eq!((written(&finding).as_str(), finding.sureness), expected, "{url}\n{finding:?}");
    assert!(!finding.because.is_empty() && !finding.because.ends_with(['.', ' ']), "{finding:?}");
}

/// Looks at a body, of which `@` stands for thirty items.
#[track_caller]
fn check(url: &str, items: &str, mut body: Value, expected: &str, sureness: Sureness) {
    fill(&mut body);
    check_all(url, &[], items, &body, (expected, sureness));
}

fn fill(value: &mut Value) {
    match value {
        Value::String(text) if text == "@" => {
            *value = (1..=30).map(|number| json!({"id": format!("x{number}"), "next": "2026-11-20"})).collect();
        }
        Value::Array(elements) => elements.iter_mut().for_each(fill),
        Value::Object(members) => members.values_mut().for_each(fill),
        _ => {}
    }
}

#[track_caller]
fn check_headers(url: &str, headers: &[(&str, &str)], count: u64, expected: &str, sureness: Sureness) {
    let body: Value = (1..=count).map(|id| json!({"id": id})).collect();
    check_all(url, headers, ".[]", &body, (expected, sureness));
}

use Sureness::{Certain, Doubtful, Likely};

const HOME: &str = "https://api.example/v1/items";

#[test]
fn link_headers_lead_on() {
    let check = check_headers;
    let github = r#"<https://api.example/repositories/1/issues?page=2>; rel="next", <https://api.example/repositories/1/issues?page=9>; rel="last""#;
    check("https://api.example/repos/o/r/issues", &[("link", github)], 30, "link = {}", Certain);
    let mastodon = r#"<https://api.example/v1/items?max_id=103>; rel="next", <https://api.example/v1/items?min_id=107>; rel="prev""#;
    check(HOME, &[("link", mastodon)], 20, "link = {}", Certain);
    let last =
        r#"<https://api.example/v1/items?page=1>; rel="first", <https://api.example/v1/items?page=8>; rel="prev""#;
    check(HOME, &[("link", last)], 3, "link = {}", Certain);
    let json_server = r#"<http://localhost:3000/posts?_page=1>; rel="first", <http://localhost:3000/posts?_page=2>; rel="next", <http://localhost:3000/posts?_page=4>; rel="last""#;
    let total = ("x-total-count", "34");
    check("http://localhost:3000/posts?_page=1", &[("link", json_server), total], 10, "link = {}", Certain);
    let elsewhere = r#"<https://pages.example/2>; rel="next""#;
    check(HOME, &[("link", elsewhere)], 10, r#"link.origins = ["https://pages.example"]"#, Likely);
    let to_tls = r#"<http://api.example/v1/items?page=2>; rel="next""#;
    check(HOME, &[("link", to_tls)], 10, "link = {}", Certain);
    let wordpress = [("x-wp-total", "7"), ("x-wp-totalpages", "1")];
    check("https://blog.example/wp-json/wp/v2/posts", &wordpress, 7, "link = {}", Likely);
    let sentry = r#"<https://api.example/v1/items?&cursor=0:0:1>; rel="previous"; results="false"; cursor="0:0:1", <https://api.example/v1/items?&cursor=0:100:0>; rel="next"; results="true"; cursor="0:100:0""#;
    check(HOME, &[("link", sentry)], 100, "link = {}", Certain);
    let preload = r#"</style.css>; rel=preload; as=style, <https://api.example/wp-json/>; rel="https://api.w.org/""#;
    check(HOME, &[("link", preload)], 7, "", Likely);
    let itself = r#"<https://api.example/v1/items>; rel="next""#;
    check(HOME, &[("link", itself)], 7, "", Likely);
}

#[test]
fn other_headers_lead_on() {
    let check = check_headers;
    let kinto = ("next-page", "https://api.example/v1/items?_limit=10&_token=abc");
    check(HOME, &[kinto], 10, "next_url.header = Next-Page", Certain);
    check(
        HOME,
        &[("x-next-page", "2"), ("x-page", "1")],
        20,
        "cursor.header = X-Next-Page; cursor.param = page",
        Likely,
    );
    check(HOME, &[("x-next-page", "")], 2, "cursor.header = X-Next-Page; cursor.param = page", Likely);
    let azure = [("x-ms-continuationtoken", "2026-11-20T00:00:00Z")];
    let expected = "cursor.header = X-Ms-Continuationtoken; cursor.param = continuationToken";
    check(HOME, &azure, 20, expected, Likely);
    check(HOME, &[("x-next-cursor", "abc")], 20, "cursor.header = X-Next-Cursor; cursor.param = cursor", Likely);
    check(HOME, &[("x-next", "abc")], 20, "cursor.header = X-Next; cursor.param = cursor", Doubtful);
    let counted = [("x-page", "1"), ("x-per-page", "20"), ("x-total", "45"), ("x-total-pages", "3")];
    check("https://api.example/v1/items?page=1", &counted, 20, "page.param = page; page.size = 20", Likely);
}

#[test]
fn addresses_in_the_body_lead_on() {
    let value = |path: &str| format!("next_url.value = {path}");
    let next = "https://api.example/v1/items?page=2";
    let certain = |items: &str, body: Value, path: &str| check(HOME, items, body, &value(path), Certain);
    // Django REST framework, and the same on its last page.
    certain(".results[]", json!({"count": 90, "next": next, "previous": null, "results": "@"}), ".next");
    check(
        HOME,
        ".results[]",
        json!({"count": 30, "next": null, "previous": null, "results": "@"}),
        &value(".next"),
        Likely,
    );
    // Laravel.
    let laravel = |next: Value| {
        json!({"current_page": 1, "data": "@", "first_page_url": "https://api.example/v1/items?page=1",
        "from": 1, "last_page": 3, "links": [{"url": null, "label": "Previous"}], "next_page_url": next, "per_page": 30,
        "prev_page_url": null, "to": 30, "total": 90})
    };
    certain(".data[]", laravel(json!(next)), ".next_page_url");
    check(HOME, ".data[]", laravel(Value::Null), &value(".next_page_url"), Likely);
    let resources = json!({"data": "@", "links": {"first": "https://api.example/v1/items?page=1", "last": next, "prev": null, "next": next}, "meta": {"current_page": 1, "last_page": 2}});
    certain(".data[]", resources, ".links.next");
    // JSON:API, where links may be objects, and HAL.
    certain(".data[]", json!({"data": "@", "links": {"self": HOME, "next": {"href": next}}}), ".links.next.href");
    certain(
        "._embedded.items[]",
        json!({"_embedded": {"items": "@"}, "_links": {"self": {"href": HOME}, "next": {"href": next}}, "page": {"size": 30, "totalElements": 90, "totalPages": 3, "number": 0}}),
        "._links.next.href",
    );
    // OData.
    certain(
        ".value[]",
        json!({"@odata.context": "x", "value": "@", "@odata.nextLink": "https://api.example/v1/items?$skip=30"}),
        r#"."@odata.nextLink""#,
    );
    certain(
        ".d.results[]",
        json!({"d": {"results": "@", "__next": "https://api.example/v1/items?$skiptoken=30"}}),
        ".d.__next",
    );
    // Datasette, Salesforce, crates.io, HubSpot, Facebook, Oracle's ORDS, PokéAPI, Zendesk.
    certain(
        ".rows[]",
        json!({"next": "30", "next_url": "https://api.example/v1/items.json?_next=30", "rows": "@"}),
        ".next_url",
    );
    certain(
        ".records[]",
        json!({"totalSize": 3222, "done": false, "nextRecordsUrl": "/services/data/v60.0/query/01g-2000", "records": "@"}),
        ".nextRecordsUrl",
    );
    certain(
        ".crates[]",
        json!({"crates": "@", "meta": {"next_page": "?page=2", "prev_page": null, "total": 9000}}),
        ".meta.next_page",
    );
    certain(
        ".results[]",
        json!({"results": "@", "paging": {"next": {"after": "NTI1Cg%3D%3D", "link": "https://api.example/v1/items?after=NTI1Cg%3D%3D"}}}),
        ".paging.next.link",
    );
    certain(
        ".data[]",
        json!({"data": "@", "paging": {"cursors": {"after": "MTAx", "before": "NDMy"}, "next": "https://api.example/v1/items?limit=25&after=MTAx"}}),
        ".paging.next",
    );
    certain(
        ".items[]",
        json!({"items": "@", "next": {"$ref": "https://api.example/v1/items?page=1"}}),
        r#".next."$ref""#,
    );
    certain(".users[]", json!({"users": "@", "count": 90, "next_page": next, "previous_page": null}), ".next_page");
    certain(
        ".objects[]",
        json!({"meta": {"limit": 30, "next": "/v1/items?offset=30", "offset": 0, "previous": null, "total_count": 90}, "objects": "@"}),
        ".meta.next",
    );
    certain(
        ".statuses[]",
        json!({"statuses": "@", "search_metadata": {"next_results": "?max_id=24&q=x"}}),
        ".search_metadata.next_results",
    );
    certain(
        r#"."hydra:member"[]"#,
        json!({"hydra:member": "@", "hydra:view": {"@id": "/v1/items?page=1", "hydra:next": "/v1/items?page=2"}}),
        r#"."hydra:view"."hydra:next""#,
    );
    // Elsewhere, and elsewhere on the same host.
    let elsewhere = json!({"results": "@", "next": "https://pages.example/v1/items?page=2", "previous": null});
    check(
        HOME,
        ".results[]",
        elsewhere,
        r#"next_url.value = .next; next_url.origins = ["https://pages.example"]"#,
        Likely,
    );
}

#[test]
fn lists_of_links_lead_on() {
    let fhir = json!({"resourceType": "Bundle", "total": 90, "entry": "@",
        "link": [{"relation": "self", "url": HOME}, {"relation": "next", "url": "https://api.example/v1?_getpages=x"}]});
    let Paging { finding, .. } = found(HOME, &[], ".entry[]", &fhir_filled(fhir));
    assert_eq!(written(&finding), r#"next_url.value = .link[]? | select(.relation == "next") | .url"#);
    let ogc = json!({"type": "FeatureCollection", "features": "@", "numberMatched": 90, "numberReturned": 30,
        "links": [{"rel": "self", "href": HOME}, {"rel": "next", "href": "https://api.example/v1/items?offset=30"}]});
    check(HOME, ".features[]", ogc, r#"next_url.value = .links[]? | select(.rel == "next") | .href"#, Certain);
}

fn fhir_filled(mut body: Value) -> Value {
    fill(&mut body);
    body
}

#[test]
fn an_address_for_people_gets_the_extension_that_was_asked_for() {
    let body =
        json!({"users": [], "topic_list": {"more_topics_url": "/latest?no_definitions=true&page=1", "topics": "@"}});
    let url = "https://forum.example/latest.json";
    let mut body = body;
    fill(&mut body);
    let Paging { finding, .. } = found(url, &[], ".topic_list.topics[]", &body);
    let expression = finding.settings[0].value.as_str().expect("an expression");
    let expression = crate::model::expression::Expression::parse(expression).expect("it is valid");
    assert_eq!(
        expression.first_output(&body).expect("it works"),
        Some(json!("/latest.json?no_definitions=true&page=1"))
    );
    assert_eq!(expression.first_output(&json!({"topic_list": {}})).expect("it works"), None);
}

#[test]
fn tokens_lead_on() {
    let check = |url: &str, items: &str, body: Value, expected: &str, sureness: Sureness| {
        check(url, items, body, expected, sureness);
    };
    let both = |token: &str, param: &str| format!("cursor.token = {token}; cursor.param = {param}");
    check(
        HOME,
        ".items[]",
        json!({"kind": "x#list", "items": "@", "nextPageToken": "CDIQAA"}),
        &both(".nextPageToken", "pageToken"),
        Certain,
    );
    check(
        HOME,
        ".items[]",
        json!({"items": "@", "next_page_token": "CDIQAA"}),
        &both(".next_page_token", "page_token"),
        Certain,
    );
    // Slack, on its first and its last page.
    let slack = |cursor: &str| json!({"ok": true, "members": "@", "response_metadata": {"next_cursor": cursor}});
    check(HOME, ".members[]", slack("dXNlcjpVMDYx="), &both(".response_metadata.next_cursor", "cursor"), Likely);
    check(HOME, ".members[]", slack(""), &both(".response_metadata.next_cursor", "cursor"), Likely);
    check(
        "https://api.example/v1/items?cursor=abc",
        ".members[]",
        slack("dXNlcjpVMDYx="),
        &both(".response_metadata.next_cursor", "cursor"),
        Certain,
    );
    check(
        HOME,
        ".results[]",
        json!({"object": "list", "results": "@", "next_cursor": "abc", "has_more": true}),
        &both(".next_cursor", "start_cursor"),
        Likely,
    );
    check(
        HOME,
        ".data[]",
        json!({"data": "@", "meta": {"result_count": 30, "newest_id": "9", "next_token": "7140dibdnow9c7btw4b"}}),
        &both(".meta.next_token", "pagination_token"),
        Likely,
    );
    check(HOME, ".items[]", json!({"items": "@", "NextToken": "abc"}), &both(".NextToken", "NextToken"), Likely);
    // MediaWiki, Kubernetes, Reddit, Twitch, Bluesky, Airtable, Pipedrive, Bitbucket's server.
    check(
        HOME,
        ".query.recentchanges[]",
        json!({"batchcomplete": "", "continue": {"rccontinue": "20261120|1", "continue": "-||"}, "query": {"recentchanges": "@"}}),
        &both(".continue", "continue"),
        Certain,
    );
    check(
        HOME,
        ".items[]",
        json!({"kind": "PodList", "metadata": {"resourceVersion": "10", "continue": "eyJ2"}, "items": "@"}),
        &both(".metadata.continue", "continue"),
        Certain,
    );
    check(
        HOME,
        ".data.children[]",
        json!({"kind": "Listing", "data": {"after": "t3_x", "before": null, "dist": 30, "children": "@"}}),
        &both(".data.after", "after"),
        Likely,
    );
    check(
        HOME,
        ".data[]",
        json!({"data": "@", "pagination": {"cursor": "eyJiIj"}}),
        &both(".pagination.cursor", "after"),
        Likely,
    );
    check(HOME, ".feed[]", json!({"feed": "@", "cursor": "2026-11-20T00:00:00Z"}), &both(".cursor", "cursor"), Likely);
    check(HOME, ".records[]", json!({"records": "@", "offset": "itrXXX/recYYY"}), &both(".offset", "offset"), Likely);
    check(
        HOME,
        ".data[]",
        json!({"data": "@", "additional_data": {"pagination": {"start": 0, "limit": 30, "more_items_in_collection": true, "next_start": 30}}}),
        &both(".additional_data.pagination.next_start", "start"),
        Likely,
    );
    check(
        HOME,
        ".values[]",
        json!({"size": 30, "limit": 30, "isLastPage": false, "values": "@", "start": 0, "nextPageStart": 30}),
        &both(".nextPageStart", "start"),
        Likely,
    );
    check(
        HOME,
        ".items[]",
        json!({"items": "@", "meta": {"current_page": 1, "next_page": 2, "total_pages": 3}}),
        &both(".meta.next_page", "page"),
        Likely,
    );
    // Told by another address, whatever the token is called.
    check(
        HOME,
        ".items[]",
        json!({"items": "@", "next_key": "abc", "more": "https://api.example/v1/items?from_key=abc"}),
        &both(".next_key", "from_key"),
        Certain,
    );
    check(HOME, ".items[]", json!({"items": "@", "next_key": "abc"}), &both(".next_key", "next_key"), Doubtful);
}

#[test]
fn tokens_that_are_always_there_need_a_sign_of_the_end() {
    let graphql =
        json!({"data": {"items": {"nodes": "@", "pageInfo": {"endCursor": "Y3Vyc29y", "hasNextPage": true}}}});
    check(
        HOME,
        ".data.items.nodes[]",
        graphql,
        "cursor.token = .data.items.pageInfo.endCursor; cursor.param = after; cursor.more = .data.items.pageInfo.hasNextPage",
        Likely,
    );
    let stripe = json!({"object": "list", "url": "/v1/items", "has_more": true, "data": "@"});
    check(
        HOME,
        ".data[]",
        stripe,
        "cursor.token = .data[-1].id; cursor.param = starting_after; cursor.more = .has_more",
        Likely,
    );
    let openai = json!({"object": "list", "data": "@", "first_id": "x1", "last_id": "x30", "has_more": false});
    check(HOME, ".data[]", openai, "cursor.token = .last_id; cursor.param = after; cursor.more = .has_more", Likely);
    let couchdb = json!({"results": "@", "last_seq": "5-g1AAAA", "pending": 40});
    check(
        HOME,
        ".results[]",
        couchdb,
        "cursor.token = .last_seq; cursor.param = since; cursor.more = .pending > 0",
        Certain,
    );
}

#[test]
fn pages_are_counted() {
    let check = |url: &str, items: &str, body: Value, expected: &str, sureness: Sureness| {
        check(url, items, body, expected, sureness);
    };
    let tmdb = json!({"page": 1, "results": "@", "total_pages": 500, "total_results": 10000});
    check(HOME, ".results[]", tmdb.clone(), "page.param = page; page.total_pages = .total_pages", Likely);
    check(
        "https://api.example/v1/items?page=1",
        ".results[]",
        tmdb,
        "page.param = page; page.total_pages = .total_pages",
        Certain,
    );
    let spring = json!({"content": "@", "pageable": {"offset": 0, "pageNumber": 0, "pageSize": 30}, "totalPages": 3, "totalElements": 90, "last": false, "number": 0, "size": 30, "first": true});
    check(
        "https://api.example/v1/items?page=0",
        ".content[]",
        spring,
        "page.param = page; page.start = 0; page.total_pages = .totalPages",
        Certain,
    );
    let spring_model = json!({"content": "@", "page": {"size": 30, "number": 0, "totalElements": 90, "totalPages": 3}});
    check(
        HOME,
        ".content[]",
        spring_model,
        "page.param = page; page.start = 0; page.total_pages = .page.totalPages",
        Likely,
    );
    let algolia = json!({"hits": "@", "nbHits": 900, "page": 0, "nbPages": 30, "hitsPerPage": 30});
    check(HOME, ".hits[]", algolia, "page.param = page; page.start = 0; page.total_pages = .nbPages", Likely);
    let total = json!({"data": "@", "page": 1, "per_page": 30, "total": 90});
    check(HOME, ".data[]", total, "page.param = page; page.total = .total", Likely);
    let number = json!({"data": "@", "pageNumber": 1, "pageSize": 30, "totalCount": 90});
    check(HOME, ".data[]", number, "page.param = page; page.total = .totalCount", Doubtful);
    let bank = json!([{"page": 1, "pages": 6, "per_page": "50", "total": 296}, "@"]);
    check(HOME, ".[1][]", bank, "page.param = page; page.total_pages = .[0].pages", Likely);
    let exchange = json!({"items": "@", "has_more": true, "quota_max": 300, "quota_remaining": 299});
    check(
        "https://api.example/v1/items?page=1&pagesize=30",
        ".items[]",
        exchange,
        "page.param = page; page.more = .has_more",
        Likely,
    );
    check(
        "https://api.example/v1/items?page=1&per_page=30",
        ".[]",
        json!("@"),
        "page.param = page; page.size = 30",
        Likely,
    );
}

#[test]
fn offsets_are_counted() {
    let check = |url: &str, items: &str, body: Value, expected: &str, sureness: Sureness| {
        check(url, items, body, expected, sureness);
    };
    let jira = json!({"expand": "schema", "startAt": 0, "maxResults": 30, "total": 90, "issues": "@"});
    check(HOME, ".issues[]", jira, "offset.param = startAt; offset.size = 30; offset.total = .total", Likely);
    let nvd = json!({"resultsPerPage": 2000, "startIndex": 0, "totalResults": 30, "format": "NVD_CVE", "vulnerabilities": "@"});
    check(
        HOME,
        ".vulnerabilities[]",
        nvd,
        "offset.param = startIndex; offset.size = 2000; offset.total = .totalResults",
        Likely,
    );
    let usual = json!({"data": "@", "offset": 0, "limit": 30, "total": 90});
    check(
        "https://api.example/v1/items?offset=0",
        ".data[]",
        usual,
        "offset.param = offset; offset.size = 30; offset.total = .total",
        Certain,
    );
    let solr = json!({"responseHeader": {"status": 0}, "response": {"numFound": 900, "start": 0, "docs": "@"}});
    check(
        "https://api.example/solr/x/select?q=*:*",
        ".response.docs[]",
        solr,
        "offset.param = start; offset.size = 30; offset.size_param = rows; offset.total = .response.numFound",
        Likely,
    );
    let elastic = json!({"took": 5, "timed_out": false, "_shards": {"total": 1, "successful": 1}, "hits": {"total": {"value": 900, "relation": "eq"}, "max_score": 1.0, "hits": "@"}});
    check(
        HOME,
        ".hits.hits[]",
        elastic,
        "offset.param = from; offset.size = 30; offset.size_param = size; offset.total = .hits.total.value",
        Likely,
    );
    let couchdb = json!({"total_rows": 90, "offset": 0, "rows": "@"});
    check(
        "https://db.example/x/_all_docs?limit=30",
        ".rows[]",
        couchdb,
        "offset.param = skip; offset.size = 30; offset.total = .total_rows",
        Likely,
    );
    let ckan = json!({"help": "x", "success": true, "result": {"count": 900, "results": "@"}});
    check(
        "https://data.example/api/3/action/package_search",
        ".result.results[]",
        ckan,
        "offset.param = start; offset.size = 30; offset.size_param = rows; offset.total = .result.count",
        Likely,
    );
    let arcgis = json!({"features": "@", "exceededTransferLimit": true});
    check(
        HOME,
        ".features[]",
        arcgis,
        "offset.param = resultOffset; offset.size = 30; offset.size_param = resultRecordCount; offset.more = .exceededTransferLimit",
        Likely,
    );
    check(
        "https://api.example/v1/items?$skip=0&$top=30",
        ".value[]",
        json!({"value": "@"}),
        "offset.param = $skip; offset.size = 30",
        Likely,
    );
}

#[test]
fn what_is_no_sign_of_paging_is_not_taken_for_one() {
    let none = |body: Value, items: &str, sureness: Sureness| {
        let mut body = body;
        fill(&mut body);
        if let Some(items) = body
            .pointer_mut(&items.trim_start_matches(".[]").trim_end_matches("[]").replace('.', "/"))
            .and_then(Value::as_array_mut)
        {
            items.pop();
        }
        check_all(HOME, &[], items, &body, ("", sureness));
    };
    none(json!({"events": "@", "next": "2026-11-27T10:00:00Z"}), ".events[]", Likely);
    none(json!({"events": "@", "next": {"name": "Launch", "date": "2026-11-27"}}), ".events[]", Likely);
    none(json!({"data": "@", "links": {"self": HOME}}), ".data[]", Likely);
    none(json!({"article": {"next": "https://api.example/articles/2"}, "items": "@"}), ".items[]", Likely);
    none(json!({"items": "@", "page": "https://status.example", "count": 29}), ".items[]", Likely);
    none(json!({"items": "@", "page": {"id": "abc", "name": "Example"}}), ".items[]", Likely);
    none(json!({"results": "@", "start": 1_700_000_000, "end": 1_700_086_400}), ".results[]", Likely);
    none(json!({"items": "@", "total": 29}), ".items[]", Certain);
    none(json!({"items": "@", "total": 900}), ".items[]", Doubtful);
    none(json!({"items": "@", "has_more": true}), ".items[]", Doubtful);
    none(json!({"items": "@", "_scroll_id": "DXF1ZXJ5"}), ".items[]", Doubtful);
    none(json!({"items": "@", "incomplete_results": false}), ".items[]", Likely);
    none(json!("@"), ".[]", Likely);
}

#[test]
fn a_round_number_of_items_is_a_doubt() {
    check(HOME, ".[]", json!("@"), "", Doubtful);
    check("https://api.example/v1/items?limit=30", ".[]", json!("@"), "", Doubtful);
    check("https://api.example/v1/items?limit=100", ".[]", json!("@"), "", Likely);
    let Paging { finding, reads_all, .. } = found(HOME, &[], ".[]", &(0..20).map(|id| json!({"id": id})).collect());
    insta::assert_snapshot!(finding.because, @"it has exactly 20 items, so there may be more pages, and nothing in the answer says how to get them");
    assert!(!reads_all);
}

#[test]
fn feeds_have_one_page_unless_they_name_the_next() {
    let mut body = json!({"feed": {"version": "atom", "next": null}, "items": "@"});
    fill(&mut body);
    let of = |body: &Value| {
        let answer = answer("https://blog.example/feed", &[], body);
        let page = Page { answer: &answer, format: ResponseFormat::Feed, value: body.clone() };
        find(&page, &Listing::of(&page, ".items[]").expect("items")).finding
    };
    assert_eq!((of(&body).found.as_str(), of(&body).sureness), ("one page", Certain));
    body["feed"]["next"] = json!("https://blog.example/feed?page=2");
    assert_eq!(written(&of(&body)), "next_url.value = .feed.next; next_url.stop = known");
}

#[test]
fn totals_and_numbers_of_pages_are_known() {
    let check = |headers: &[(&str, &str)], body: Value, items: &str, expected: (Option<u64>, Option<u64>)| {
        let mut body = body;
        fill(&mut body);
        let paging = found(HOME, headers, items, &body);
        assert_eq!((paging.total, paging.pages), expected, "{body}");
    };
    check(&[("x-total-count", "34")], json!("@"), ".[]", (Some(34), None));
    check(&[("link", r#"<?page=9>; rel="last", <?page=2>; rel="next""#)], json!("@"), ".[]", (None, Some(9)));
    check(&[], json!({"items": "@", "meta": {"total": 90, "pages": 3}}), ".items[]", (Some(90), Some(3)));
    check(&[], json!({"items": "@", "count": 30}), ".items[]", (None, None));
    check(&[], json!({"items": "@", "total": 3}), ".items[]", (None, None));
}

proptest::proptest! {
    #[test]
    fn odd_answers_do_no_harm(name in "[ -~é]{0,12}", text in "[ -~é]{0,20}", header in "[ -~]{0,30}", number in 0_u64..u64::MAX) {
        for known in ["next", "page", "offset", "total", "has_more", "links", "nextPageToken", &name] {
            for value in [json!(text), json!(number), json!(true), json!({"href": text, "next": text}), json!([{"rel": "next", "url": text}])] {
                let body = json!({"items": [{"id": number}], known: value, "limit": number, "meta": {known: value}});
                let answer = answer(HOME, &[("link", &header), ("next-page", &header), ("x-next-page", &header)], &body);
                let page = Page { answer: &answer, format: ResponseFormat::Json, value: body.clone() };
                find(&page, &Listing::of(&page, ".items[]").expect("items"));
            }
        }
    }
}
