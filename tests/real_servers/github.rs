//! GitHub, as its own published description of its API has it: prism answers with the examples of that, and refuses
//! what the description does not allow.

use std::fs;
use std::path::Path;

use crate::Scene;
use crate::servers::Server;

#[tokio::test(flavor = "multi_thread")]
async fn templates_for_github_agree_with_its_description() {
    let source = Server::prism_of_github().await;
    let check = async |connector, template, path, more, key: &str| {
        let rules = format!(
            "use = \"{template}\"\nparams = {{ owner = \"octocat\", repo = \"Hello-World\", token = \"t0ken\" }}\n\
             request.url = \"{}\"\n{more}",
            source.url(path)
        );
        let mut scene = Scene::start_in(connector, &rules, |home| {
            let catalogue = home.path().join("connectors");
            fs::create_dir(&catalogue).expect("a folder");
            let file = format!("{template}.toml");
            let template = Path::new(env!("CARGO_MANIFEST_DIR")).join("connectors").join(&file);
            fs::copy(template, catalogue.join(file)).expect("a template");
        })
        .await;
        let received = scene.tells([format!("created {key}")]).await;
        scene.ends().await;
        received[0].event()["data"].clone()
    };
    let releases = "/repos/octocat/Hello-World/releases";
    let release = check("releases", "github-releases", releases, "", "1").await;
    assert_eq!((&release["tag_name"], &release["author"]), (&"v1.0.0".into(), &"octocat".into()));
    // The one issue of the examples is a pull request, which the template leaves out.
    let all = "item.filter = \"true\"";
    let issue = check("issues", "github-issues", "/repos/octocat/Hello-World/issues", all, "1347").await;
    assert_eq!((&issue["title"], &issue["state"]), (&"Found a bug".into(), &"open".into()));
}
