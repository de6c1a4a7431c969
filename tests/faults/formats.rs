//! Answers in other formats than JSON, cut off or broken where that is easily mistaken for their end.

use crate::source::{Reply, Request};
use crate::trial::{Respond, Trial};

const NDJSON: &str = "response.format = \"ndjson\"\nresponse.items = \".[]\"";
const CSV: &str = "response.format = \"csv\"\nresponse.items = \".[]\"\nitem.data = \"{id: (.id | tonumber), state}\"";

pub fn trials() -> Vec<Trial> {
    vec![
        ndjson("NDJSON that is cut off within a line", "{\"id\":1,\"state\":\"open\"}\n{\"id\":2,\"sta"),
        ndjson("NDJSON with a line for people", "{\"id\":1,\"state\":\"open\"}\nInternal error\n"),
        ndjson("NDJSON that ends with an error", "{\"id\":1,\"state\":\"open\"}\n{\"error\":\"timeout\"}\n"),
        ndjson("NDJSON of nothing but line breaks", "\n\n\n"),
        ndjson(
            "a list where NDJSON was expected",
            "[\n{\"id\":1,\"state\":\"open\"},\n{\"id\":2,\"state\":\"open\"}\n]\n",
        ),
        ndjson("a page for people where NDJSON was expected", "<!doctype html>\n<title>Sorry</title>"),
        csv("CSV that is cut off within a row", "id,state\n1,open\n2"),
        csv("CSV that is cut off within quotes", "id,state\n1,open\n2,\"ope"),
        csv("CSV with a row that is too long", "id,state\n1,open\n2,open,more\n"),
        csv("CSV without its header", "1,open\n2,open\n"),
        csv("CSV with another header", "number;state\n1;open\n2;open\n"),
        csv("a page for people where CSV was expected", "<!doctype html>\n<title>Sorry</title>"),
        csv("an error where CSV was expected", "{\"error\":\"timeout\",\"code\":17}").polls(2),
        csv("a message where CSV was expected", "Service unavailable").polls(2),
        csv("CSV with quotes in odd places", "id,state\n1,op\"en\n\"2\"x,open\n"),
        csv("binary data where CSV was expected", "id,state\n\u{0}\u{1}\u{2},open\n"),
        Trial::new("XML that is cut off", |_| typed("application/xml", "<items><item><id>1</id></item><item><id>2")),
        Trial::new("XML with an entity from a file", |_| {
            let xml = "<!DOCTYPE a [<!ENTITY x SYSTEM \"file:///etc/passwd\">]><items><id>&x;</id></items>";
            typed("application/xml", xml)
        }),
        Trial::new("XML whose entities multiply", |_| {
            let entity = |level: usize| format!("<!ENTITY a{level} \"{}\">", format!("&a{};", level - 1).repeat(10));
            let entities: Vec<String> = (1..30).map(entity).collect();
            let xml = "<!DOCTYPE a [<!ENTITY a0 \"lol\">ENTITIES]><items><id>&a29;</id></items>";
            typed("application/xml", &xml.replace("ENTITIES", &entities.concat()))
        }),
        Trial::new("XML, a hundred thousand deep", |_| typed("application/xml", &"<a>".repeat(100_000))),
        Trial::new("an error in XML", |_| typed("application/xml", "<Error><Code>SlowDown</Code></Error>")),
        Trial::new("a feed that is cut off", |_| {
            typed("application/rss+xml", "<rss version=\"2.0\"><channel><item><guid>1</guid></item><item><gu")
        }),
    ]
}

fn typed(content_type: &str, body: &str) -> Reply {
    Reply::of(200, body).with("content-type", content_type)
}

fn ndjson(name: &'static str, body: &'static str) -> Trial {
    let well = |listing: &'static str| -> Respond {
        let items: Vec<serde_json::Value> = serde_json::from_str(listing).expect("a listing");
        let lines: String = items.iter().flat_map(|item| [item.to_string(), "\n".to_owned()]).collect();
        Box::new(move |_: &Request| typed("application/x-ndjson", &lines))
    };
    Trial::new(name, move |_| typed("application/x-ndjson", body)).rules(NDJSON).well(well)
}

fn csv(name: &'static str, body: &'static str) -> Trial {
    let well = |listing: &'static str| -> Respond {
        let items: Vec<serde_json::Value> = serde_json::from_str(listing).expect("a listing");
        let row = |item: &serde_json::Value| format!("{},{}\n", item["id"], item["state"]);
        let rows: String = items.iter().map(row).fold("id,state\n".to_owned(), |rows, row| rows + &row);
        Box::new(move |_: &Request| typed("text/csv", &rows))
    };
    Trial::new(name, move |_| typed("text/csv", body)).rules(CSV).well(well)
}
