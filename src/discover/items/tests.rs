use proptest::prelude::*;
use serde_json::{Value, json};

use crate::discover::testing::{answer, draft, said};
use crate::discover::{About, Sureness, Undiscovered, discover};
use crate::model::expression::Expression;

fn check(answer: &Value, expected: &str) {
    assert_eq!(said(&draft(answer, None), About::Items, "response.items"), expected, "{answer}");
}

#[test]
fn lists_are_found_where_conventions_have_them() {
    let rows = json!([{"id": 1, "name": "a"}, {"id": 2, "name": "b"}, {"id": 3, "name": "c"}]);
    let resources = json!([{"type": "a", "id": "1", "attributes": {}}, {"type": "a", "id": "2", "attributes": {}}]);
    let cases = [
        (rows.clone(), "unset certain"),
        (json!({"data": resources, "included": resources, "links": {"next": "/x"}}), ".data[] certain"),
        (
            json!({"_embedded": {"orders": rows}, "_links": {"self": {"href": "/orders"}}}),
            "._embedded.orders[] certain",
        ),
        (json!({"@odata.context": "x", "value": rows}), ".value[] certain"),
        (json!({"d": {"results": rows}}), ".d.results[] certain"),
        (
            json!({"type": "FeatureCollection", "metadata": {"count": 1}, "features": [{"type": "Feature", "id": "us1", "properties": {"mag": 1.2}}]}),
            ".features[] certain",
        ),
        (
            json!({"took": 3, "hits": {"total": {"value": 3}, "hits": rows}, "aggregations": {"by": {"buckets": rows}}}),
            ".hits.hits[] certain",
        ),
        (
            json!({"data": {"repository": {"issues": {"nodes": rows, "pageInfo": {"endCursor": "x"}}}}}),
            ".data.repository.issues.nodes[] certain",
        ),
        (
            json!({"data": {"issues": {"edges": [{"cursor": "a", "node": {"id": "x"}}, {"cursor": "b", "node": {"id": "y"}}], "totalCount": 2}}}),
            ".data.issues.edges[].node certain",
        ),
        (json!({"total_rows": 3, "offset": 0, "rows": rows}), ".rows[] certain"),
        (
            json!({"results": [{"seq": "1-x", "id": "a", "changes": [{"rev": "1-a"}]}], "last_seq": "1-x", "pending": 0}),
            ".results[] certain",
        ),
        (
            json!({"batchcomplete": "", "query": {"recentchanges": [{"rcid": 1, "title": "A"}, {"rcid": 2, "title": "B"}]}}),
            ".query.recentchanges[] certain",
        ),
        (
            json!({"batchcomplete": true, "query": {"pages": {"736": {"pageid": 736, "ns": 0, "title": "A"}, "9228": {"pageid": 9228, "ns": 0, "title": "B"}}}}),
            ".query.pages[] likely",
        ),
        (
            json!({"kind": "Listing", "data": {"after": "t3_x", "children": [{"kind": "t3", "data": {"id": "a"}}, {"kind": "t3", "data": {"id": "b"}}]}}),
            ".data.children[] certain",
        ),
        (json!({"total_count": 2, "incomplete_results": false, "items": rows}), ".items[] certain"),
        (json!({"count": 3, "next": "https://x/?page=2", "previous": null, "results": rows}), ".results[] certain"),
        (
            json!({"ok": true, "database": "fixtures", "rows": rows, "columns": ["id", "name"], "truncated": false}),
            ".rows[] certain",
        ),
        (
            json!({"content": rows, "pageable": {"pageNumber": 0}, "totalPages": 1, "totalElements": 3, "last": true, "size": 20, "number": 0, "first": true}),
            ".content[] certain",
        ),
        (json!({"odd name": {"the rows": rows}}), ".\"odd name\".\"the rows\"[] certain"),
        (json!([{"page": 1, "pages": 6, "per_page": 50, "total": 296}, rows]), ".[1][] certain"),
        (
            json!({"resourceType": "Bundle", "type": "searchset", "entry": [{"fullUrl": "x", "resource": {"id": "a"}}], "link": [{"relation": "self", "url": "y"}]}),
            ".entry[] certain",
        ),
        (json!([9_129_911, 9_129_199, 9_127_761]), "unset certain"),
    ];
    for (answer, expected) in &cases {
        check(answer, expected);
    }
}

#[test]
fn what_is_beside_the_items_is_not_taken_for_them() {
    let rows = json!([{"id": 1, "tags": [{"name": "x"}]}, {"id": 2, "tags": [{"name": "y"}]}]);
    for beside in ["errors", "links", "facets", "included", "warnings", "aggregations", "meta"] {
        let many: Vec<_> = (0..5).map(|id| json!({"id": id, "title": "another", "text": "a longer one"})).collect();
        let answer = json!({beside: many, "results": rows});
        assert_eq!(draft(&answer, None).setting("response.items"), Some(&json!(".results[]")), "{beside}");
    }
    check(&json!({"errors": [], "results": rows}), ".results[] certain");
}

#[test]
fn a_second_list_that_is_nearly_as_good_is_named() {
    let components = json!([{"id": "a", "name": "API", "updated_at": "2026-11-20T12:00:00Z"}]);
    let draft = draft(&json!({"components": components, "incidents": components}), None);
    assert_eq!(said(&draft, About::Items, "response.items"), ".components[] doubtful");
    let because = &draft.about(About::Items).expect("a finding").because;
    assert!(because.ends_with("; `.incidents[]` could be meant as well"), "{because}");
}

#[test]
fn objects_that_are_maps_give_their_members() {
    let coin = |price: f64| json!({"usd": price, "usd_24h_change": 1.5});
    check(&json!({"BTC": coin(1.5), "ETH": coin(2.5), "XMR": coin(0.5)}), "to_entries[] likely");
    check(&json!({"BTC": coin(1.5), "ETH": coin(2.5)}), "to_entries[] doubtful");
    check(&json!({"bitcoin": coin(1.5), "ether": coin(2.5), "monero": coin(0.5)}), "to_entries[] doubtful");
    check(&json!({"users": {"17": coin(1.5), "19": coin(2.5), "23": coin(0.5)}}), ".users | to_entries[] likely");
    let version = |version: &str| json!({"name": "x", "version": version, "dist": {"shasum": "a"}});
    check(
        &json!({"name": "x", "versions": {"1.0.0": version("1.0.0"), "1.1.0": version("1.1.0"), "2.0.0": version("2.0.0")}}),
        ".versions[] likely",
    );
    check(
        &json!({"base": "EUR", "date": "2026-11-20", "rates": {"USD": 1.1, "GBP": 0.9, "CHF": 0.95, "JPY": 162.1, "SEK": 11.0, "NOK": 11.5, "DKK": 7.4, "PLN": 4.3}}),
        ".rates | to_entries[] doubtful",
    );
}

#[test]
fn lists_by_dates_or_keys_are_one_list_whose_expression_has_no_date_in_it() {
    let rows = |first: u32| -> Value { (first..first + 3).map(|id| json!({"id": id, "name": "a"})).collect() };
    let days = json!({"2026-11-20": rows(1), "2026-11-21": rows(4)});
    check(&days, ".[][] likely");
    check(&json!({"element_count": 6, "near": days}), ".near[][] likely");
    check(&json!({"element_count": 3, "near": {"2026-11-20": rows(1)}}), ".near[][] likely");
    check(&json!({"groups": {"A1": rows(1), "B2": rows(4)}}), ".groups[][] doubtful");
    check(&json!({"groups": {"open": rows(1)}}), ".groups.open[] certain");
    assert_eq!(draft(&days, None).items, 6);
}

#[test]
fn rows_get_the_names_of_their_columns() {
    for answer in [
        json!({"fields": ["id", "name"], "rows": [[1, "a"], [2, "b"]]}),
        json!({"columns": [{"name": "id", "type": "int"}, {"name": "name", "type": "text"}], "data": [[1, "a"], [2, "b"]]}),
        json!([["id", "name"], [1, "a"], [2, "b"]]),
        json!({"data": [["id", "name"], [1, "a"], [2, "b"]]}),
    ] {
        let draft = draft(&answer, None);
        let items = draft.setting("response.items").and_then(Value::as_str).expect("a setting");
        let expression = Expression::parse(items).expect("an expression");
        let rows: Vec<_> = expression.into_outputs(answer.clone()).expect("outputs");
        assert_eq!(rows, [json!({"id": 1, "name": "a"}), json!({"id": 2, "name": "b"})], "{answer}");
        assert_eq!(said(&draft, About::Key, "item.key"), ".id certain", "{answer}");
        assert_eq!(draft.about(About::Items).expect("a finding").sureness, Sureness::Likely, "{answer}");
    }
    // The first row could be one like the others.
    check(
        &json!([["id", "name"], ["a", "b"], ["c", "d"]]),
        "(.[0] | with_entries({key: .value, value: .key})) as $at | .[1:][] as $row | $at | map_values($row[.]) doubtful",
    );
}

/// Checks what expression is found for columns, and what that gives.
#[track_caller]
fn check_columns(answer: &Value, expected: &str, first: &Value, count: usize) {
    check(answer, expected);
    let draft = draft(answer, None);
    let items = draft.setting("response.items").and_then(Value::as_str).expect("a setting");
    let rows = Expression::parse(items).expect(items).into_outputs(answer.clone()).expect("outputs");
    assert_eq!((rows.first(), rows.len()), (Some(first), count), "{answer}");
}

#[test]
fn columns_give_rows() {
    let ids: Vec<Value> = (1..=12).map(|id| json!(id * 7)).collect();
    let gaps: Vec<Value> = (1..=12).map(|id| if id % 2 == 0 { Value::Null } else { json!(id) }).collect();
    let columns = json!({"item_id": ids, "a b": gaps});
    let first = json!({"item_id": 7, "a b": 1});
    check_columns(&columns, "range(.item_id | length) as $i | map_values(.[$i]) likely", &first, 12);
    check_columns(
        &json!({"data": {"the rows": columns}}),
        ".data.\"the rows\" | range(.item_id | length) as $i | map_values(.[$i]) likely",
        &first,
        12,
    );
    check_columns(
        &json!({"state": "fine", "item_id": ids, "a b": gaps, "none": null}),
        "range(.item_id | length) as $i | map_values(arrays[$i]) doubtful",
        &first,
        12,
    );
    check_columns(
        &json!({"state": "fine", "item_id": ids, "a b": gaps}),
        "range(.item_id | length) as $i | map_values(arrays[$i]) likely",
        &first,
        12,
    );
}

#[test]
fn lists_that_are_as_long_as_each_other_by_chance_are_not_taken_for_columns_without_a_doubt() {
    for answer in [
        json!({"tags": ["a", "b", "c"], "authors": ["x", "y", "z"]}),
        json!({"title": "x", "tags": ["a", "b", "c", "d", "e"], "authors": ["v", "w", "x", "y", "z"]}),
        json!({"x": (0..20).collect::<Vec<_>>(), "y": (0..20).map(|n| n * 2).collect::<Vec<_>>()}),
    ] {
        let draft = draft(&answer, None);
        assert_eq!(draft.about(About::Items).expect("a finding").sureness, Sureness::Doubtful, "{answer}");
    }
    for answer in [
        json!({"id": 7, "title": "x", "tags": ["a", "b", "c"], "authors": ["x", "y", "z"]}),
        json!({"id": 7, "tags": ["a", "b", "c"], "authors": ["x", "y"]}),
        json!({"id": 7, "name": "x", "tags": ["a", "b", 3], "authors": ["x", "y", "z"]}),
    ] {
        check(&answer, ". likely");
    }
}

#[test]
fn an_empty_list_is_a_draft_with_doubts() {
    for (answer, expected) in [
        (json!([]), "unset doubtful"),
        (json!({"items": [], "total": 0}), ".items[] doubtful"),
        (json!({"data": null, "total": 0}), ".data[]? doubtful"),
        (json!({"results": [], "facets": [{"name": "a", "count": 1}]}), ".results[] doubtful"),
    ] {
        check(&answer, expected);
        let draft = draft(&answer, None);
        assert_eq!((draft.items, draft.is_doubtful()), (0, true));
    }
}

#[test]
fn one_object_without_a_list_is_one_item() {
    let repository = json!({
        "id": 724_712, "node_id": "x", "name": "rust", "full_name": "rust-lang/rust", "private": false, "fork": false,
        "size": 1, "topics": ["compiler", "language"], "owner": {"login": "rust-lang", "id": 1}, "license": null,
    });
    check(&repository, ". likely");
    assert_eq!(said(&draft(&repository, None), About::Key, "item.key"), ".id doubtful");
    let weather =
        json!({"latitude": 52.5, "longitude": 13.4, "current": {"time": "2026-11-20T12:00", "temperature": 3.1}});
    check(&weather, ". likely");
    assert_eq!(said(&draft(&weather, None), About::Key, "item.key"), "\"answer\" doubtful");
}

#[test]
fn answers_of_which_nothing_can_be_made_say_why() {
    let check = |status: u16, body: &str, expected: &str| {
        let answer = crate::discover::Answer { status, body: body.to_owned().into(), ..answer(&Value::Null) };
        let error = discover(&answer, None).map(|draft| draft.findings).expect_err(body);
        assert_eq!(error.to_string(), expected);
    };
    check(404, r#"{"message":"Not Found","documentation_url":"x"}"#, "the API answered 404 Not Found: Not Found");
    check(500, "<h1>oh</h1>", "the API answered 500 Internal Server Error");
    check(
        200,
        r#"{"ok":false,"error":"invalid_auth"}"#,
        "the API answered with an error and a status of success: invalid_auth",
    );
    check(
        200,
        r#"{"error":{"code":7,"message":"No such  key"}}"#,
        "the API answered with an error and a status of success: No such key",
    );
    check(
        200,
        r#"{"errors":[{"message":"Field 'x' is unknown"}]}"#,
        "the API answered with an error and a status of success: Field 'x' is unknown",
    );
    check(
        200,
        r#"{"status":"error","message":"apiKeyMissing","data":[]}"#,
        "the API answered with an error and a status of success: apiKeyMissing",
    );
    check(
        200,
        r#"{"message":"You must log in"}"#,
        "the API answered with an error and a status of success: You must log in",
    );
    check(200, "true", "the answer is a truth value, which has no items");
    check(200, "{}", "the answer is an empty object, which has no items");
    let answer = crate::discover::Answer { body: "plain text".into(), ..answer(&Value::Null) };
    assert!(matches!(discover(&answer, None), Err(Undiscovered::Unreadable(_))));
}

fn any_json() -> impl Strategy<Value = Value> {
    let name = prop_oneof![
        Just("id".to_owned()),
        Just("data".to_owned()),
        Just("items".to_owned()),
        Just("node".to_owned()),
        Just("rows".to_owned()),
        Just("columns".to_owned()),
        Just("name".to_owned()),
        Just("score".to_owned()),
        Just("updated_at".to_owned()),
        Just("if".to_owned()),
        Just("last_seq".to_owned()),
        Just("ok".to_owned()),
        Just("errors".to_owned()),
        Just("code".to_owned()),
        Just("message".to_owned()),
        any::<String>(),
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        Just(json!("2026-11-20T12:00:00Z")),
        Just(json!("3 hours ago")),
        (0..4).prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 80, 8, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..8).prop_map(Value::from),
            proptest::collection::vec((name.clone(), inner), 0..8)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn whatever_an_answer_is_its_draft_is_valid(first in any_json(), again in any_json()) {
        let Ok(draft) = discover(&answer(&first), Some(&answer(&again))) else { return Ok(()) };
        let again_itself = discover(&answer(&first), Some(&answer(&first))).expect("a draft");
        for draft in [draft, again_itself] {
            let items = draft.setting("response.items").and_then(Value::as_str).unwrap_or(".[]");
            let items = Expression::parse(items).expect(items);
            let rows = items.into_outputs(first.clone()).expect("items");
            prop_assert_eq!(rows.len(), draft.items);
            if let Some(Value::String(error)) = draft.setting("response.error") {
                let error = Expression::parse(error).expect(error);
                prop_assert!(!error.is_truthy(&first).expect("an output"), "{}", error.source());
            }
            for path in ["item.key", "item.ignore"] {
                let value = draft.setting(path).cloned().unwrap_or_default();
                let expressions = value.as_array().cloned().unwrap_or_else(|| vec![value.clone()]);
                for source in expressions.iter().filter_map(Value::as_str) {
                    let expression = Expression::parse(source).expect(source);
                    for row in rows.iter().take(50) {
                        if path == "item.ignore" {
                            expression.delete_from(&mut row.clone()).expect(source);
                        }
                    }
                }
            }
        }
    }
}
