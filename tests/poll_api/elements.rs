//! One connector that is polled for several sets of params.

use std::sync::Arc;

use pollhook::config::{Environment, load};
use pollhook::model::connector::Connector;
use pollhook::poll::{PollOutcome, Poller};

use crate::source::Reply;
use crate::world::World;

/// Returns the connectors of a configuration whose source is a world's.
fn connectors(world: &World, rules: &str) -> Vec<Arc<Connector>> {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("config.toml");
    let url = world.source.url("/{{ params.repo }}");
    let usual = format!("every = \"1m\"\nrequest.url = \"{url}\"\nresponse.items = \".[]\"\nitem.key = \".id\"\n");
    std::fs::write(&path, format!("[connectors.repos]\n{usual}{rules}\n")).expect("a file");
    load(&path, &Environment::default()).unwrap_or_else(|mistakes| panic!("{mistakes}")).connectors
}

async fn poll(world: &World, connector: &Arc<Connector>) {
    let report = Poller::new(Arc::clone(connector), world.context.clone()).poll().await.expect("the store works");
    assert!(!matches!(report.outcome, PollOutcome::Failed(_)), "{report:?}");
}

#[tokio::test]
async fn each_element_has_its_own_state_and_tells_of_itself() {
    let world = World::new("", |request| {
        Reply::json(if request.target == "/b" { r#"[{"id":1},{"id":2}]"# } else { r#"[{"id":1}]"# })
    })
    .await;
    let each = "each = [{ repo = \"a\" }, { repo = \"b\" }]\nchanges.first_poll = \"send\"";
    let elements = connectors(&world, each);
    for connector in &elements {
        poll(&world, connector).await;
    }
    let events: Vec<String> = world
        .events()
        .await
        .iter()
        .map(|event| {
            let element = event.element.as_ref().expect("an element").get();
            format!("{} {} {} {element}", event.event_type, event.connector, event.key)
        })
        .collect();
    let expected = [
        r#"repos.created repos 1 {"repo":"a"}"#,
        r#"repos.created repos 1 {"repo":"b"}"#,
        r#"repos.created repos 2 {"repo":"b"}"#,
    ];
    assert_eq!(events, expected);
    // In another order, and with another element before them, they are still known.
    let elements = connectors(
        &world,
        &each.replace("[{ repo = \"a\" }, { repo = \"b\" }]", "[{ repo = \"c\" }, { repo = \"b\" }, { repo = \"a\" }]"),
    );
    for connector in &elements[1..] {
        poll(&world, connector).await;
    }
    assert_eq!(world.events().await.len(), 3);
}
