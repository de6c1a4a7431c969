//! Numbers that other people's servers do not write, but other people's receivers read.

use crate::Scene;
use crate::source::{Reply, Source};

#[tokio::test(flavor = "multi_thread")]
async fn numbers_that_no_float_can_hold_arrive_as_written() {
    const NUMBERS: &str = r#""numbers":[9007199254740993,1.0,1e400,0.1000,-0,1E+2,123456789012345678901234567890]"#;
    let source = Source::start(|_| Reply::json(format!(r#"[{{"id":1,{NUMBERS}}}]"#))).await;
    let rules = format!("request.url = \"{}\"\nitem.key = \".id\"", source.url("/"));
    let mut scene = Scene::start("numbers", &rules).await;
    let received = scene.tells(["created 1"]).await;
    assert!(received[0].body.contains(NUMBERS), "{}", received[0].body);
    scene.ends().await;
}
