//! MediaWiki: an action API whose answers say with which parameters they continue.

use pollhook::http::Method;

use crate::servers::MediaWiki;
use crate::{EVERYTHING, Scene, change, only};

/// Makes or edits a page, as everyone may.
async fn write(wiki: &MediaWiki, title: &str, text: &str) {
    let headers = [("content-type", "application/x-www-form-urlencoded")];
    // What MediaWiki gives to everyone who is not signed in.
    let body = format!("action=edit&format=json&title={title}&text={text}&token=%2B%5C");
    let answer = change(Method::POST, &wiki.url("/api.php"), &headers, &body).await;
    assert_eq!(answer["edit"]["result"], "Success", "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn mediawiki_is_followed_as_it_continues() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let wiki = MediaWiki::start(folder.path()).await;
    let titles = ["Apple", "Banana", "Cherry", "Date", "Elder", "Fig"];
    for title in titles {
        write(&wiki, title, "ripe").await;
    }
    let rules = format!(
        r#"
        request.url = "{}"
        response.items = ".query.pages[]?"
        response.error = ".error.info?"
        pagination.cursor = {{ token = ".continue", param = "continue" }}
        item.key = ".title"
        item.filter = '.title != "Main Page"'
        item.data = "{{title, text: .revisions[0].slots.main.content}}"
        {EVERYTHING}
        request.query.action = "query"
        request.query.format = "json"
        request.query.formatversion = 2
        request.query.generator = "allpages"
        request.query.gaplimit = 2
        request.query.prop = "revisions"
        request.query.rvprop = "content|ids"
        request.query.rvslots = "main"
        "#,
        wiki.url("/api.php")
    );
    let mut scene = Scene::start("pages", &rules).await;
    scene.tells(titles.map(|title| format!("created {title}"))).await;

    write(&wiki, "Banana", "eaten").await;
    write(&wiki, "Grape", "ripe").await;
    let received = scene.tells(["updated Banana", "created Grape"]).await;
    assert_eq!(only(&received, "pages.updated Banana")["data"]["text"], "eaten");

    let mut scene = scene
        .meanwhile(async || {
            wiki.delete("Cherry");
            write(&wiki, "Date", "dried").await;
        })
        .await;
    scene.tells(["removed Cherry", "updated Date"]).await;
    scene.ends().await;
}
