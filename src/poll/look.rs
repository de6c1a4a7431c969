//! A poll without state: what a connector finds, for people who write one.

use std::sync::Arc;

use url::Url;

use super::context::FetchContext;
use super::detail::{DetailFetcher, Detailed};
use super::diagnose;
use super::error::PollFailure;
use super::paginate::{Advance, Pager};
use super::plan::{Plan, Refused};
use super::polling::source_now;
use super::walk::{Visit, Walker};
use crate::model::connector::Connector;
use crate::model::item::{Completeness, Item};

/// What a connector finds at present.
#[derive(Debug)]
pub struct Look {
    /// The pages that were answered, in order.
    pub pages: Vec<Visit>,
    /// How many requests were sent, redirects and repeated tries included.
    pub requests: usize,
    pub items: Vec<Item>,
    /// `Partial` if some page failed.
    pub completeness: Completeness,
    /// Why paging stopped before the last page.
    pub truncation: Option<String>,
    /// Why there are no items, or not all of them; secrets taken out.
    pub problem: Option<Problem>,
    /// Sentences that explain the problem from what was answered, secrets taken out.
    pub explanation: Vec<String>,
    /// Sentences about what is probably not meant, although items were found, secrets taken out.
    pub warnings: Vec<String>,
    /// How many of the items, the first ones, have their details laid over them; `None` if they need none.
    pub detailed: Option<usize>,
    /// The address of the first page.
    home: Option<Url>,
}

/// Why a look found nothing, or less than all.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// A page failed.
    #[error(transparent)]
    Failed(PollFailure),
    /// The answer is well, but has no items.
    #[error("`response.items` ({expression}) gives nothing")]
    NoItems { expression: String },
    /// There are items, and all were filtered out.
    #[error("none of {count} items passes `item.filter` ({expression})")]
    AllFiltered { count: usize, expression: String },
}

/// Polls once, as a first poll would, without comparing anything and without leaving a trace.
pub async fn look(connector: &Arc<Connector>, context: &FetchContext) -> Look {
    let mut look = Look {
        pages: Vec::new(),
        requests: 0,
        items: Vec::new(),
        completeness: Completeness::Complete,
        truncation: None,
        problem: None,
        explanation: Vec::new(),
        warnings: Vec::new(),
        detailed: connector.detail.as_ref().map(|_| 0),
        home: None,
    };
    let mut walker = match walker(connector, context) {
        Ok(walker) => walker,
        Err(failure) => return look.failed(failure),
    };
    let failure = loop {
        let page = match walker.next_page().await {
            Ok(page) => page,
            Err(failure) => break Some(failure),
        };
        look.items.extend(page.items);
        match page.advance {
            Advance::Next => {}
            Advance::Last => break None,
            Advance::Stop(cause) => {
                look.completeness = Completeness::Truncated;
                look.truncation = Some(cause.to_string());
                break None;
            }
        }
    };
    look.requests = walker.counts.requests;
    look.home = Some(walker.home().clone());
    look.pages = walker.visits;
    look.problem = match failure {
        Some(failure) => {
            look.completeness = Completeness::Partial;
            Some(Problem::Failed(failure))
        }
        None if look.items.is_empty() => Some(nothing_found(connector, &look.pages)),
        None => None,
    };
    if look.problem.is_some() {
        look.explanation = diagnose::explain(connector, &look.pages);
        if let (Some(Problem::Failed(failure)), [_, ..]) = (&mut look.problem, &look.explanation[..]) {
            *failure = failure.clone().without_excerpt();
        }
    } else {
        look.warnings = diagnose::warn(connector, &look.pages);
    }
    look
}

impl Look {
    /// Asks for the details of the first items, so many at most. An item that is not there is left out; where a detail
    /// fails, it ends.
    pub async fn add_details(&mut self, connector: &Connector, context: &FetchContext, most: usize) {
        let (Some(detail), Some(home)) = (&connector.detail, &self.home) else { return };
        let fetcher = DetailFetcher::new(connector, detail, context, home.clone());
        let first: Vec<Item> = self.items.drain(..most.min(self.items.len())).collect();
        let values = first.iter().map(|item| item.record.value().into_owned()).collect();
        let mut whole = Vec::with_capacity(first.len());
        for (item, detailed) in first.into_iter().zip(fetcher.fetch(values).await) {
            match detailed {
                Detailed::Whole(value) => whole.push(Item { record: value.into(), ..item }),
                Detailed::Failed(problem) if self.problem.is_none() => {
                    let cause = format!("item {}: {problem}", item.key);
                    self.problem = Some(Problem::Failed(PollFailure::of(connector, &cause)));
                }
                Detailed::Absent | Detailed::Failed(_) | Detailed::NotAsked => {}
            }
        }
        self.requests += fetcher.requests();
        self.detailed = Some(whole.len());
        whole.append(&mut self.items);
        self.items = whole;
    }

    fn failed(self, failure: PollFailure) -> Self {
        Self { completeness: Completeness::Partial, problem: Some(Problem::Failed(failure)), ..self }
    }
}

fn walker(connector: &Arc<Connector>, context: &FetchContext) -> Result<Walker, PollFailure> {
    let now = context.clock.now();
    let plan = Plan::of(connector, None, Refused::default(), source_now(connector, context), now)
        .map_err(|error| PollFailure::of(connector, &error))?;
    let pager =
        Pager::new(connector, plan.cursor.as_deref(), now, None).map_err(|error| PollFailure::of(connector, &error))?;
    let mut walker = Walker::new(Arc::clone(connector), context.clone(), pager);
    walker.keeps_visits = true;
    Ok(walker)
}

fn nothing_found(connector: &Connector, pages: &[Visit]) -> Problem {
    let count = pages.iter().map(|page| page.yielded).sum();
    match &connector.item.filter {
        Some(filter) if count > 0 => Problem::AllFiltered { count, expression: filter.source().to_owned() },
        _ => Problem::NoItems { expression: connector.response.items.source().to_owned() },
    }
}
