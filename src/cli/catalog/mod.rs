//! `pollhook catalog`: the templates that there are, what one of them does, and what it finds at present.

mod explain;
mod live;
mod shelf;
mod snippet;

use serde_json::json;

use super::Global;
use super::check::counted;
use super::failure::Failure;
use super::output::{Colour, Output, fitted};
use explain::Explained;
use shelf::{Shelf, Shelved};

#[derive(Debug, clap::Args)]
pub struct CatalogArguments {
    /// A template's name, to have it explained, or words to search for
    words: Vec<String>,
    /// Try the template now, with these params; those that are not given take their examples
    #[arg(long, value_name = "PARAM=VALUE", num_args = 0.., requires = "words")]
    test: Option<Vec<String>>,
    /// How many items to show of what --test finds
    #[arg(long, value_name = "COUNT", default_value_t = 5, requires = "test")]
    limit: usize,
    /// Print a ready-made template as it is written, to be copied and edited
    #[arg(long, requires = "words", conflicts_with_all = ["test", "json"])]
    source: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Lists templates, or explains or tries one.
pub async fn catalog(arguments: CatalogArguments, global: &Global, output: &mut Output) -> Result<(), Failure> {
    global.log.start(Some("warn"))?;
    let shelf = Shelf::open(global, output);
    let words = &arguments.words;
    let named = if let [name] = &words[..] { shelf.get(name) } else { None };
    if let Some(params) = &arguments.test {
        let template = named.ok_or_else(|| unknown(&shelf, words))?;
        return live::test(template, params, arguments.limit, arguments.json, global, output).await;
    }
    if arguments.source {
        let template = named.ok_or_else(|| unknown(&shelf, words))?;
        if template.own {
            // What is printed ends up in places where a secret of it must not be.
            let name = &template.about.name;
            return Err(Failure::Usage(format!("{name} is your own: it is {name}.toml in the catalogue's folder")));
        }
        return output.line(template.about.text.trim_end());
    }
    if let Some(template) = named {
        let explained = Explained::new(template, global);
        return if arguments.json { output.json(&explained.json()) } else { explained.print(output) };
    }
    let found = if words.is_empty() { shelf.templates.iter().collect() } else { shelf.search(words) };
    if found.is_empty() {
        return Err(unknown(&shelf, words));
    }
    if arguments.json {
        let data: Vec<_> = found.iter().map(|template| template.json()).collect();
        return output.json(&json!({ "data": data }));
    }
    if words.is_empty() { print_by_topic(&shelf, output) } else { print_found(&found, output) }
}

/// Returns why there is no such template, and which ones may have been meant.
fn unknown(shelf: &Shelf, words: &[String]) -> Failure {
    let wanted = words.join(" ");
    let nearest = shelf.nearest(&wanted);
    let help = match &nearest[..] {
        [] => "`pollhook catalog` lists all; for any other API there is `pollhook new URL`".to_owned(),
        names => format!("did you mean {}?", names.join(" or ")),
    };
    Failure::Usage(format!("there is no template {wanted:?} in the catalogue; {help}"))
}

fn print_by_topic(shelf: &Shelf, output: &mut Output) -> Result<(), Failure> {
    let widest = widest(&shelf.templates.iter().collect::<Vec<_>>());
    for (topic, templates) in shelf.by_topic() {
        output.line(output.paint(Colour::Bold, topic))?;
        templates.iter().try_for_each(|template| print_line(template, 2, widest, output))?;
        output.line("")?;
    }
    let own = shelf.templates.iter().filter(|template| template.own).count();
    let ready_made = counted(shelf.templates.len() - own, "ready-made template");
    let counts = if own > 0 { format!("{ready_made}, {own} of your own") } else { ready_made };
    let help = "`pollhook catalog NAME` explains one and shows how to use it, `pollhook catalog WORD` searches.";
    explain_marks(&shelf.templates.iter().collect::<Vec<_>>(), output)?;
    output.paragraph(&format!("{counts}. {help}"), 0)
}

fn print_found(found: &[&Shelved], output: &mut Output) -> Result<(), Failure> {
    let widest = widest(found);
    found.iter().try_for_each(|template| print_line(template, 0, widest, output))?;
    output.line("")?;
    explain_marks(found, output)?;
    let name = &found[0].about.name;
    output.paragraph(&format!("`pollhook catalog {name}` explains it and shows how to use it."), 0)
}

fn widest(templates: &[&Shelved]) -> usize {
    templates.iter().map(|template| template.about.name.len()).max().unwrap_or(0)
}

fn print_line(template: &Shelved, indent: usize, widest: usize, output: &mut Output) -> Result<(), Failure> {
    let about = &template.about;
    let mark = if about.checked.is_some() { ' ' } else { '*' };
    let own = if template.own { " (yours)" } else { "" };
    let before = indent + widest + 3;
    let title = about.title.clone().unwrap_or_default() + own;
    let title = output.width().map_or(title.clone(), |width| fitted(&title, width.saturating_sub(before)));
    let name = format!("{:widest$}", about.name);
    output.line(format!("{:indent$}{} {mark} {title}", "", output.paint(Colour::Green, name)).trim_end())
}

fn explain_marks(templates: &[&Shelved], output: &mut Output) -> Result<(), Failure> {
    if templates.iter().all(|template| template.about.checked.is_some()) {
        return Ok(());
    }
    output.line("* not checked against a published answer\n")
}
