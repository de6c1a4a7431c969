//! `pollhook catalog`, through the real binary: what it prints, and that what it prints works.

use std::fs;
use std::process::{Command, Output};

use serde_json::Value;

use crate::fixture::root;
use crate::source::{Reply, Source};

/// A folder that commands are run in.
struct Home(tempfile::TempDir);

impl Home {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a temporary folder"))
    }

    fn with(self, path: &str, text: &str) -> Self {
        let path = self.0.path().join(path);
        fs::create_dir_all(path.parent().expect("a file is in a folder")).expect("a folder");
        fs::write(path, text).expect("a file");
        self
    }

    fn run(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pollhook"));
        command.current_dir(self.0.path()).args(arguments);
        for name in ["POLLHOOK_CONFIG", "POLLHOOK_LOG", "COLUMNS", "NO_COLOR", "CLICOLOR_FORCE", "GITHUB_TOKEN"] {
            command.env_remove(name);
        }
        command.envs(variables.iter().copied()).output().expect("pollhook can be started")
    }

    /// Runs a command that must do well, and returns what it prints.
    fn print(&self, arguments: &[&str], variables: &[(&str, &str)]) -> String {
        let output = self.run(arguments, variables);
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("UTF-8")
    }

    /// Runs a command that must end with this exit code, and returns what it complains of.
    fn complain(&self, arguments: &[&str], code: i32) -> String {
        let output = self.run(arguments, &[]);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {output:?}");
        String::from_utf8(output.stderr).expect("UTF-8")
    }

    fn json(&self, arguments: &[&str]) -> Value {
        serde_json::from_str(&self.print(arguments, &[])).expect("JSON")
    }
}

/// A template that asks the source, under the name of a ready-made one.
fn overriding(source: &Source) -> String {
    format!(
        "title = \"Our releases\"\ntopics = [\"code hosting\"]\nevery = \"1m\"\n\n\
         [params.owner]\ndescription = \"Whose they are\"\nexample = \"ada\"\n\n\
         [params.token]\ndescription = \"A token\"\nsecret = true\n\n\
         [request]\nurl = \"{}\"\n\n[auth.bearer]\ntoken = \"{{{{ params.token }}}}\"\n\n[item]\nkey = \".id\"\n",
        source.url("/{{ params.owner }}/releases")
    )
}

#[test]
fn what_is_printed_fits_the_terminal_with_and_without_colours() {
    let home = Home::new();
    let commands: [(&str, &[&str]); 4] = [
        ("all", &["catalog"]),
        ("word", &["catalog", "incidents"]),
        ("name", &["catalog", "github-releases"]),
        ("unchecked", &["catalog", "any-json"]),
    ];
    for (name, arguments) in commands {
        for columns in ["80", "120"] {
            for (style, variable) in [("plain", "NO_COLOR"), ("coloured", "CLICOLOR_FORCE")] {
                let printed = home.print(arguments, &[("COLUMNS", columns), (variable, "1")]);
                check_printed(&format!("{name}-{columns}-{style}"), &printed);
                if style == "plain" {
                    let width = columns.parse::<usize>().expect("a number");
                    let long: Vec<&str> = printed.lines().filter(|line| line.chars().count() > width).collect();
                    // What is to be pasted is never broken, and a word that is too long cannot be.
                    assert!(long.iter().all(|line| line.contains("https://")), "{long:#?}");
                }
            }
        }
    }
}

/// Compares with `tests/fixtures/terminal/catalog`, or writes it there if it is to be updated.
#[track_caller]
fn check_printed(name: &str, printed: &str) {
    let path = root().join("tests/fixtures/terminal/catalog").join(name).with_extension("txt");
    if std::env::var_os("UPDATE_FIXTURES").is_some() {
        fs::create_dir_all(path.parent().expect("it is in a folder")).expect("a folder");
        fs::write(&path, printed).expect("the file can be written");
    }
    let expected = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        printed == expected,
        "{name} is printed otherwise (UPDATE_FIXTURES=1 cargo nextest run --test catalog):\n{printed}\nexpected is\n{expected}"
    );
}

#[test]
fn what_is_to_be_pasted_is_a_configuration_that_is_right() {
    for name in ["github-releases", "nvd-cves", "feed"] {
        let snippet = Home::new().json(&["catalog", name, "--json"])["configuration"].clone();
        let home = Home::new().with("config.toml", snippet.as_str().expect("a text"));
        home.print(&["check"], &[]);
    }
}

#[test]
fn an_unknown_name_leads_to_one_that_there_is() {
    let home = Home::new();
    assert!(home.complain(&["catalog", "github-relases"], 2).contains("did you mean github-releases?"));
    assert!(home.complain(&["catalog", "earthquaks"], 2).contains("usgs-earthquakes"));
    assert!(home.complain(&["catalog", "xylophone"], 2).contains("`pollhook new URL`"));
    assert!(home.complain(&["catalog", "xylophone", "--test"], 2).contains("there is no template \"xylophone\""));
}

#[test]
fn a_search_puts_what_is_most_about_the_words_first() {
    let found = Home::new().json(&["catalog", "github", "tags", "--json"]);
    assert_eq!(found["data"][0]["name"], "github-tags", "{found}");
    let found = Home::new().json(&["catalog", "exploited", "--json"]);
    assert_eq!(found["data"][0]["name"], "cisa-kev", "{found}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_users_own_templates_go_before_ready_made_ones_and_are_told_apart() {
    let source = Source::start(|_| Reply::json("[]")).await;
    let home = Home::new().with("connectors/github-releases.toml", &overriding(&source));
    let explained = home.json(&["catalog", "github-releases", "--json"]);
    assert_eq!((&explained["own"], &explained["title"]), (&true.into(), &"Our releases".into()), "{explained}");
    assert!(home.print(&["catalog"], &[]).contains("Our releases (yours)"));
    assert!(home.print(&["catalog", "github-releases"], &[]).contains("Our releases (yours)"));
    assert_eq!(home.json(&["catalog", "github-issues", "--json"])["own"], false);

    let elsewhere = Home::new()
        .with("config.toml", "catalog.path = \"templates\"\n[connectors.orders]\nevery = \"1m\"\nrequest.url = \"https://a.example/\"\nitem.key = \".id\"\n")
        .with("templates/our-own.toml", &overriding(&source));
    assert_eq!(elsewhere.json(&["catalog", "our-own", "--json"])["own"], true);
}

#[test]
fn a_configuration_with_mistakes_is_no_hindrance() {
    let home = Home::new().with("config.toml", "[connectors.orders]\nevry = \"1s\"\n");
    let output = home.run(&["catalog"], &[]);
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && out.contains("github-releases"), "{out}");
    assert!(err.contains("`pollhook check` tells them"), "{err}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_template_can_be_tried_before_it_is_used() {
    let source = Source::start(|request| match request.header("authorization") {
        Some("Bearer hunter2hunter2") => Reply::json(r#"[{"id":1,"tag":"v1"},{"id":2,"tag":"v2"}]"#),
        _ => Reply::of(401, "who are you?"),
    })
    .await;
    // A connector of the template's own name is configured already, and something that the template does not need is wrong.
    let text = "[connectors.github-releases]\nuse = \"github-releases\"\nparams = { owner = \"bob\", token = { env = \"NOT_SET\" } }\n";
    for home in [Home::new(), Home::new().with("config.toml", text)] {
        let home = home.with("connectors/github-releases.toml", &overriding(&source));
        let arguments = ["catalog", "github-releases", "--test", "owner=grace"];
        assert!(home.complain(&arguments, 2).contains("or set GITHUB_TOKEN"));
        assert!(home.complain(&["catalog", "github-releases", "--test", "ower=x"], 2).contains("did you mean owner?"));
        let set = ("GITHUB_TOKEN", "hunter2hunter2");
        let printed = home.print(&arguments, &[set]);
        assert!(printed.contains("/grace/releases") && printed.contains("2 items on 1 page"), "{printed}");
        assert!(!printed.contains("hunter2"), "{printed}");
        let json: Value =
            serde_json::from_str(&home.print(&[&arguments[..], &["--json"]].concat(), &[set])).expect("JSON");
        assert_eq!((&json["count"], &json["items"][1]["data"]["tag"]), (&2.into(), &"v2".into()), "{json}");
        let refused = home.run(&["catalog", "github-releases", "--test"], &[("GITHUB_TOKEN", "another token")]);
        assert_eq!(refused.status.code(), Some(1));
        assert!(String::from_utf8_lossy(&refused.stderr).contains("401"), "{refused:?}");
        source.take_requests();
    }
}
