//! From an address to a connector that was tried: by what the catalogue knows, or else by what the answers say.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value, json};
use url::{Host, Url};

use super::ask::{Asker, Sight};
use super::known::{self, Known};
use super::name;
use super::refused;
use super::target::{SecretPlace, Target, literal};
use super::write::Writing;
use crate::cli::check::counted;
use crate::cli::failure::Failure;
use crate::config::{CatalogTemplate, ready_made};
use crate::discover::{self, About, Answer, Draft, Finding, Setting, Sureness};
use crate::http::server_time;
use crate::model::format::ResponseFormat;
use crate::model::quantity::{format_duration, parse_duration};
use crate::model::time::Timestamp;
use crate::poll::{self, Problem};

/// A connector that was written and tried.
pub struct Found {
    pub writing: Writing,
    /// The template that it uses.
    pub template: Option<CatalogTemplate>,
    /// What was found out, in the order in which people would ask.
    pub findings: Vec<Finding>,
    /// What else there is to say.
    pub notes: Vec<String>,
    /// What the connector finds at present.
    pub sight: Sight,
}

/// How long after the first look the second one is, at least: what an answer says of the time, in whole seconds, differs
/// then.
const BETWEEN_LOOKS: Duration = Duration::from_millis(1100);

/// The most pages of the second look.
const PAGES_LOOKED_AT: u64 = 3;

/// How long the shortest and the longest time between polls are, unless the answer says something about it: soon at
/// first, so that whoever tries it out sees something happen.
const USUAL_INTERVALS: [&str; 2] = ["30s", "5m"];

/// The shortest time between polls of what is on this machine.
const OWN_INTERVAL: &str = "10s";

/// Tells whether an address is on this machine.
fn is_own(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// Finds a connector for what is to be asked.
pub async fn find(asker: &Asker, target: &Target, wanted_name: Option<&str>) -> Result<Found, Failure> {
    let finder = Finder { asker, target, wanted_name };
    let ready_made = ready_made();
    let templates: Vec<&CatalogTemplate> = asker.surroundings().catalog.templates.iter().chain(&ready_made).collect();
    let mut notes = Vec::new();
    let clock_differs = |found: &Found| clock_note(&found.sight, asker.clock.now());
    if let Some(known) = known::find(&target.url, templates.iter().copied()) {
        match finder.known(&known).await? {
            Ok(mut found) => {
                found.notes.extend(clock_differs(&found));
                return Ok(found);
            }
            Err(problem) => notes.push(format!(
                "the template {} is made for such addresses, but did not work: {problem}",
                known.template.name
            )),
        }
    }
    let feed = templates.iter().find(|template| template.name == FEED).copied();
    let mut found = finder.unknown(feed).await?;
    notes.append(&mut found.notes);
    notes.extend(clock_differs(&found));
    Ok(Found { notes, ..found })
}

/// The template for feeds.
const FEED: &str = "feed";

/// How often that asks.
const USUAL_OF_FEEDS: Duration = Duration::from_secs(15 * 60);

struct Finder<'a> {
    asker: &'a Asker,
    target: &'a Target,
    wanted_name: Option<&'a str>,
}

impl Finder<'_> {
    /// Tries the template that an address is known for; returns what is wrong if that does not work.
    async fn known(&self, known: &Known<'_>) -> Result<Result<Found, String>, Failure> {
        let mut writing = self.use_of(known)?;
        let mut connector = match self.asker.connector(&writing.text()) {
            Ok(connector) => connector,
            Err(mistakes) => return Ok(Err(mistakes.to_string())),
        };
        let first = self.asker.look(Arc::clone(&connector)).await;
        if let Some(problem @ Problem::Failed(_)) = &first.look.problem {
            return Ok(Err(explained(&first, problem)));
        }
        if known.template.name == FEED
            && let Some((every, because)) = interval_of_feed(&first)
        {
            writing.add(because, [every]);
            connector = self.connector(&writing)?;
        }
        self.wait_between_looks().await;
        let sight = self.asker.look(connector).await;
        let mut notes = vec![format!("{} is a ready-made connector for this address", known.template.name)];
        notes.push(compared(&first, &sight));
        let template = Some(known.template.clone());
        Ok(Ok(Found { writing, template, findings: Vec::new(), notes, sight }))
    }

    /// Returns a connector that uses a template, or says which params have to be given.
    fn use_of(&self, known: &Known<'_>) -> Result<Writing, Failure> {
        let template = known.template;
        let mut params: Map<String, Value> =
            known.params.iter().map(|(name, value)| (name.clone(), Value::from(value.as_str()))).collect();
        let mut target = self.target.clone();
        let token = template.params.iter().find(|param| param.secret);
        if let (Some(param), [secret]) = (token, target.secrets.as_slice())
            && secret.place == SecretPlace::Bearer
        {
            params.insert(param.name.clone(), json!({ "env": secret.variable }));
            target.secrets.clear();
        }
        let missing: Vec<&str> = known.missing().filter(|name| !params.contains_key(*name)).collect();
        let mut writing = Writing::new(self.name(|| name::of_known(known))?);
        let mut settings = vec![Setting::new("use", template.name.as_str())];
        if !params.is_empty() {
            settings.push(Setting::new("params", params));
        }
        settings.extend(target.settings());
        writing.add("", settings);
        if missing.is_empty() { Ok(writing) } else { Err(refused::params_missing(template, &missing, &writing)) }
    }

    /// Looks at what an address answers. `feed` is the template for feeds.
    async fn unknown(&self, feed: Option<&CatalogTemplate>) -> Result<Found, Failure> {
        let first = self.first_look(&self.target.url).await?;
        let answer = refused::answer(&first, self.target)?;
        let mut feed_problem = None;
        if let Some(feed) = feed
            && let Some((url, mut notes)) = feed_of(&answer)
        {
            let params = BTreeMap::from([("url".to_owned(), literal(url.as_str()))]);
            let known = Known { template: feed, params };
            match self.known(&known).await? {
                Ok(mut found) => {
                    notes.append(&mut found.notes);
                    return Ok(Found { notes, ..found });
                }
                // A feed that the template does not understand, or a page that names one that is not there.
                Err(problem) => feed_problem = Some(format!("{}, but {problem}", notes.join(", "))),
            }
        }
        let draft = discover::discover(&answer, None).map_err(|error| match &feed_problem {
            Some(problem) => Failure::Failed(String::clone(problem)),
            None => refused::undiscovered(&error, &answer, self.target),
        })?;
        let found = self.drafted(&answer, draft).await?;
        Ok(Found { notes: feed_problem.into_iter().collect(), ..found })
    }

    /// Tries a draft, and returns it with what the second look shows.
    async fn drafted(&self, first: &Answer, draft: Draft) -> Result<Found, Failure> {
        self.wait_between_looks().await;
        let tried = self.writing(&draft)?;
        let second = self.asker.look(self.connector(&few_pages(without_cursor(tried)))?).await;
        let again = second.first_page();
        let mut draft = match discover::discover(first, again.as_ref()) {
            Ok(draft) => draft,
            Err(_) => draft,
        };
        if let Some(problem) = problem_of_paging(&second) {
            take_back(&mut draft, About::Paging, "one page", &problem);
            // What is only on other pages is not gone.
            take_back(&mut draft, About::Lists, "what is recent", "the pages after the first one are not read");
        }
        if let Some(problem) = self.problem_of_cursor(&draft).await? {
            take_back(&mut draft, About::Cursor, "none", &problem);
        }
        let writing = self.writing(&draft)?;
        let connector = self.connector(&few_pages(writing.clone()))?;
        let mut sight = self.asker.look_again(connector, second.answers).await;
        for (page, seen) in sight.look.pages.iter_mut().zip(&second.look.pages) {
            page.elapsed = seen.elapsed;
        }
        Ok(Found { writing, template: None, findings: draft.findings, notes: Vec::new(), sight })
    }

    /// Asks once with the cursor that was found, and returns why that does not work.
    async fn problem_of_cursor(&self, draft: &Draft) -> Result<Option<String>, Failure> {
        if draft.about(About::Cursor).is_none_or(|finding| finding.settings.is_empty()) {
            return Ok(None);
        }
        let sight = self.asker.look(self.connector(&few_pages(self.writing(draft)?))?).await;
        Ok(match &sight.look.problem {
            Some(problem @ Problem::Failed(_)) => Some(format!("with it, {}", explained(&sight, problem))),
            // That nothing is new is an answer as well.
            _ => None,
        })
    }

    /// Asks for an address with a connector that takes whatever comes.
    async fn first_look(&self, url: &Url) -> Result<Sight, Failure> {
        let mut writing = Writing::new(self.name(|| name::of_address(url))?);
        let url = Setting::new("request.url", literal(url.as_str()));
        writing.add("", [Setting::new("every", "5m"), url]);
        writing.add("", self.target.settings());
        writing.add("", [Setting::new("response.items", "."), Setting::new("item.key", "1")]);
        Ok(self.asker.look(self.connector(&writing)?).await)
    }

    /// Writes what a draft says.
    fn writing(&self, draft: &Draft) -> Result<Writing, Failure> {
        let url = draft.address(&self.target.url);
        let mut writing = Writing::new(self.name(|| name::of_address(&self.target.url))?);
        let is_told = |finding: &Finding| finding.about == About::Limits && finding.sureness == Sureness::Certain;
        let [usual, max] = USUAL_INTERVALS;
        let min = if is_own(&self.target.url) { OWN_INTERVAL } else { usual };
        let every = Setting::new("every", json!({ "min": min, "max": max }));
        writing.add("", [every, Setting::new("request.url", literal(url.as_str()))]);
        let of_target = self.target.settings();
        if !of_target.is_empty() {
            writing.add("", of_target);
        }
        for finding in &draft.findings {
            let said = finding.settings.iter().filter(|setting| setting.path != "every" || is_told(finding)).cloned();
            let said: Vec<Setting> = said.collect();
            if !said.is_empty() {
                writing.add(format!("{}: {}", finding.sureness, finding.because), said);
            }
        }
        Ok(writing)
    }

    fn connector(&self, writing: &Writing) -> Result<Arc<crate::model::connector::Connector>, Failure> {
        self.asker.connector(&writing.text()).map_err(Failure::Configuration)
    }

    /// Returns what the connector is called. A name is only made up if nothing is written: otherwise somebody adds the same
    /// again without knowing.
    fn name(&self, usual: impl FnOnce() -> String) -> Result<String, Failure> {
        let surroundings = self.asker.surroundings();
        let taken: Vec<&str> = surroundings.taken.iter().map(String::as_str).collect();
        let name = match self.wanted_name {
            Some(name) => name.to_owned(),
            None if surroundings.writes => usual(),
            None => name::unused(&usual(), &taken),
        };
        if taken.contains(&name.as_str()) {
            let path = surroundings.path.display();
            return Err(Failure::Usage(format!("{path} has {name} already: choose another name with --name")));
        }
        Ok(name)
    }

    async fn wait_between_looks(&self) {
        let clock = &self.asker.clock;
        clock.sleep_until(clock.now() + BETWEEN_LOOKS).await;
    }
}

/// Returns where the feed is that an answer is, or that it names; and what there is to say of that.
fn feed_of(answer: &Answer) -> Option<(Url, Vec<String>)> {
    let content_type = answer.headers.get("content-type").and_then(|value| value.to_str().ok());
    if let Ok((ResponseFormat::Feed, _)) = poll::value_of(None, Some(&answer.url), content_type, &answer.body) {
        return Some((answer.url.clone(), vec!["the answer is a feed".to_owned()]));
    }
    if !content_type.is_some_and(|content_type| content_type.contains("html")) {
        return None;
    }
    let mut feeds = discover::advertised_feeds(&answer.url, &answer.body);
    // What is said below the articles is hardly what is meant.
    feeds.sort_by_key(|(url, title)| format!("{title} {url}").to_lowercase().contains("comment"));
    let mut feeds = feeds.into_iter();
    let (url, _) = feeds.next()?;
    let mut notes = vec![format!("{} is a web page that has the feed {url}", answer.url)];
    notes.extend(feeds.map(|(url, title)| format!("it has another one, {title:?}: {url}")).take(MOST_FEEDS_NAMED));
    Some((url, notes))
}

/// The most further feeds of a page that are named.
const MOST_FEEDS_NAMED: usize = 5;

/// Returns how often a feed is asked that says of itself, or whose answer says, that it need not be read as often as others
/// are; and why.
fn interval_of_feed(sight: &Sight) -> Option<(Setting, String)> {
    let draft = discover::discover(&sight.first_page()?, None).ok()?;
    let finding = draft.about(About::Limits).filter(|finding| finding.sureness == Sureness::Certain)?;
    let every = finding.settings.iter().find(|setting| setting.path == "every")?;
    let is_longer = parse_duration(every.value.as_str()?).is_ok_and(|every| every > USUAL_OF_FEEDS);
    is_longer.then(|| (every.clone(), format!("{}: {}, {}", finding.sureness, finding.found, finding.because)))
}

/// Returns how far the clock of a source is from this machine's, if that is worth a word.
fn clock_note(sight: &Sight, now: Timestamp) -> Option<String> {
    let answer = sight.first_page()?;
    let theirs = server_time(&answer.headers, now)?;
    let difference = theirs.since(now).max(now.since(theirs));
    let way = if theirs > now { "ahead of" } else { "behind" };
    (difference > MOST_CLOCK_DIFFERENCE).then(|| {
        format!(
            "warning: the clock of {} is {} {way} this machine's; if this one is wrong, receivers refuse what is sent, \
             because signatures are good for five minutes",
            answer.url.host_str().unwrap_or_default(),
            format_duration(Duration::from_secs(difference.as_secs())),
        )
    })
}

/// How much a source's clock may differ from ours without a word.
const MOST_CLOCK_DIFFERENCE: Duration = Duration::from_secs(60);

/// Returns a connector that asks for a few pages only.
fn few_pages(mut writing: Writing) -> Writing {
    let style = ["link", "next_url", "cursor", "page", "offset"].into_iter().find(|style| {
        let path = format!("pagination.{style}");
        let below = format!("{path}.");
        let mut settings = writing.groups.iter().flat_map(|group| &group.settings);
        settings.any(|setting| setting.path == path || setting.path.starts_with(&below))
    });
    let Some(style) = style else { return writing };
    for setting in writing.groups.iter_mut().flat_map(|group| &mut group.settings) {
        if setting.path == format!("pagination.{style}")
            && let Value::Object(members) = &mut setting.value
        {
            members.insert("max_pages".to_owned(), PAGES_LOOKED_AT.into());
            return writing;
        }
    }
    writing.add("", [Setting::new(format!("pagination.{style}.max_pages"), PAGES_LOOKED_AT)]);
    writing
}

/// Returns a connector that asks for everything, and not for what is new.
fn without_cursor(mut writing: Writing) -> Writing {
    let refers = |value: &Value| value.as_str().is_some_and(|text| text.contains("{{") && text.contains("cursor"));
    let paths: Vec<String> = writing
        .groups
        .iter()
        .flat_map(|group| &group.settings)
        .filter(|setting| setting.path.starts_with("request.") && refers(&setting.value))
        .map(|setting| setting.path.clone())
        .collect();
    for path in paths {
        writing.take(&path);
    }
    writing.take("cursor");
    writing
}

/// Returns why the pages after the first one were not had, although a draft says how; `None` if they were.
fn problem_of_paging(sight: &Sight) -> Option<String> {
    let look = &sight.look;
    if let (Some(problem @ Problem::Failed(_)), true) = (&look.problem, !look.pages.is_empty()) {
        return Some(format!("after the first page, {}", explained(sight, problem)));
    }
    let [first, second, ..] = look.pages.as_slice() else { return None };
    let key = |item: &crate::model::item::Item| item.key.clone();
    let on_first: HashSet<_> = look.items.iter().take(first.items).map(key).collect();
    let mut on_second = look.items.iter().skip(first.items).take(second.items).map(key).peekable();
    let is_same = on_second.peek().is_some() && on_second.all(|key| on_first.contains(&key));
    is_same.then(|| "the second page had the items of the first one again".to_owned())
}

/// Takes back what a draft says about something, because it was tried and does not work.
fn take_back(draft: &mut Draft, about: About, found: &str, problem: &str) {
    for finding in draft.findings.iter_mut().filter(|finding| finding.about == about && !finding.settings.is_empty()) {
        finding.because = format!("{} looked like it ({}), but {problem}", finding.found, finding.because);
        finding.settings.clear();
        found.clone_into(&mut finding.found);
        finding.sureness = Sureness::Doubtful;
    }
}

/// Returns how the items of two looks compare.
fn compared(first: &Sight, second: &Sight) -> String {
    let keys = |sight: &Sight| sight.look.items.iter().map(|item| item.key.clone()).collect::<HashSet<_>>();
    let fingerprints = |sight: &Sight| sight.look.items.iter().map(|item| item.fingerprint).collect::<Vec<_>>();
    let items = counted(second.look.items.len(), "item");
    if keys(first) != keys(second) {
        format!("it was polled twice: {items}, not all of them the same")
    } else if fingerprints(first) != fingerprints(second) {
        format!("it was polled twice: {items} with the same keys, and some of them changed in between")
    } else {
        format!("it was polled twice: {items}, the same both times")
    }
}

/// Returns what is wrong, with what explains it where more is known.
fn explained(sight: &Sight, problem: &Problem) -> String {
    let said = plain(sight, problem);
    match sight.look.explanation.join("; ") {
        more if more.is_empty() => said,
        more => format!("{said} ({more})"),
    }
}

/// Returns what is wrong in words that do not name the connector, which nobody knows yet.
pub fn plain(sight: &Sight, problem: &Problem) -> String {
    let said = problem.to_string();
    said.strip_prefix(&format!("connector {}: ", sight.connector.name)).unwrap_or(&said).to_owned()
}
