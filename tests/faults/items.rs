//! Lists that are lists, of items that are not as they should be.

use crate::source::Reply;
use crate::trial::{BEFORE, MORE, Trial};

pub fn trials() -> Vec<Trial> {
    let mut trials = unusable();
    trials.extend(odd());
    trials.extend(flapping());
    trials
}

fn unusable() -> Vec<Trial> {
    vec![
        items("an item without a key", r#"[{"id":1,"state":"open"},{"state":"open"}]"#),
        items("an item whose key is null", r#"[{"id":1,"state":"open"},{"id":null}]"#),
        items("an item whose key is empty", r#"[{"id":""}]"#),
        items("an item whose key is an object", r#"[{"id":{"$oid":"1"}}]"#),
        items("an item whose key is a list", r#"[{"id":[1]}]"#),
        items("an item that is null", r#"[{"id":1,"state":"open"},null]"#),
        items("an item that is a number", "[1,2]"),
        items("an item that is a list", "[[]]"),
        items("an error among the items", r#"[{"id":1,"state":"open"},{"error":"timeout"}]"#),
        Trial::new("an item whose key is as long as a book", |_| {
            Reply::json(format!("[{{\"id\":\"{}\"}}]", "x".repeat(300_000)))
        }),
    ]
}

fn odd() -> Vec<Trial> {
    vec![
        items("the same items in another order", r#"[{"id":2,"state":"open"},{"id":1,"state":"open"}]"#),
        items("the same item twice", r#"[{"id":1,"state":"open"},{"id":2,"state":"open"},{"id":1,"state":"open"}]"#),
        items(
            "two versions of a known item",
            r#"[{"id":1,"state":"old"},{"id":2,"state":"open"},{"id":1,"state":"open"}]"#,
        ),
        items("a key that becomes text", r#"[{"id":"1","state":"open"},{"id":"2","state":"open"}]"#)
            .rules("item.watch = [\".state\"]"),
        items(
            "keys of the same letters and of two types",
            r#"[{"id":1,"state":"open"},{"id":"1","state":"open"},{"id":2,"state":"open"}]"#,
        )
        .rules("item.watch = [\".state\"]"),
        Trial::harmless("a thousand members that nobody watches", |_| {
            let noise: Vec<String> = (0..1000).map(|number| format!("\"n{number}\":{number}")).collect();
            Reply::json(MORE.replace(",\"state\"", &format!(",{},\"state\"", noise.join(","))))
        })
        .rules("item.watch = [\".state\"]\nitem.data = \"{id, state}\""),
        Trial::harmless("a time that changes with each answer, and is ignored", {
            let mut count = 0;
            move |_| {
                count += 1;
                Reply::json(MORE.replace(",\"state\"", &format!(",\"fetched\":{count},\"state\"")))
            }
        })
        .rules("item.ignore = [\".fetched\"]\nitem.data = \"{id, state}\"")
        .polls(3),
    ]
}

fn flapping() -> Vec<Trial> {
    let flap = |name, odd: &'static str, even: &'static str| {
        let mut count = 0;
        Trial::new(name, move |_| {
            count += 1;
            Reply::json(if count % 2 == 1 { odd } else { even })
        })
    };
    vec![
        flap("an empty list now and then", "[]", BEFORE).rules("changes.removed_after = 2").polls(4),
        flap("half of the list now and then", r#"[{"id":2,"state":"open"}]"#, BEFORE)
            .rules("changes.removed_after = 2")
            .polls(4),
        items("an empty list, which is true", "[]").truth("[]").polls(2),
        items("an empty list, which has to be confirmed", "[]").rules("changes.removed_after = 2").truth("[]").polls(2),
    ]
}

fn items(name: &'static str, listing: &'static str) -> Trial {
    Trial::new(name, move |_| Reply::json(listing))
}
