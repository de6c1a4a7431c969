//! A poll without state: what a connector finds, for people who write one.

use std::sync::Arc;

use super::context::FetchContext;
use super::error::PollFailure;
use super::paginate::Pager;
use super::walk::{Visit, Walked, Walker};
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
}

/// Why a look found nothing, or less than all.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// A page failed.
    #[error(transparent)]
    Failed(PollFailure),
    /// The answer is well, but has no items.
    #[error("`response.items` ({expression}) gives nothing; the answer begins: {answer}")]
    NoItems { expression: String, answer: String },
    /// There are items, and all were filtered out.
    #[error("none of {count} items passes `item.filter` ({expression}); the answer begins: {answer}")]
    AllFiltered { count: usize, expression: String, answer: String },
}

/// How many characters of each page a look shows.
const ANSWER_SHOWN: usize = 1000;

/// Polls once, without comparing anything and without leaving a trace.
pub async fn look(connector: &Arc<Connector>, context: &FetchContext) -> Look {
    let mut walker = Walker::new(Arc::clone(connector), context.clone());
    walker.answer_shown = ANSWER_SHOWN;
    let found = match Pager::new(connector, None, context.clock.now(), None) {
        Ok(pager) => walker.walk(pager, &[]).await,
        Err(error) => Err(PollFailure::of(connector, &error)),
    };
    let Walker { visits: pages, requests, .. } = walker;
    match found {
        Ok(Walked::Read(reading)) => {
            let problem = match reading.failure {
                Some(failure) => Some(Problem::Failed(failure)),
                None if reading.items.is_empty() => Some(nothing_found(connector, &pages)),
                None => None,
            };
            let completeness = reading.completeness;
            Look {
                pages,
                requests,
                items: reading.items,
                completeness,
                truncation: reading.truncation.map(|cause| cause.to_string()),
                problem,
            }
        }
        Ok(Walked::Unchanged { completeness }) => {
            Look { pages, requests, items: Vec::new(), completeness, truncation: None, problem: None }
        }
        Err(failure) => Look {
            pages,
            requests,
            items: Vec::new(),
            completeness: Completeness::Partial,
            truncation: None,
            problem: Some(Problem::Failed(failure)),
        },
    }
}

fn nothing_found(connector: &Connector, pages: &[Visit]) -> Problem {
    let answer = pages.first().map(|page| page.answer.clone()).unwrap_or_default();
    let count = pages.iter().map(|page| page.yielded).sum();
    match &connector.item.filter {
        Some(filter) if count > 0 => Problem::AllFiltered { count, expression: filter.source().to_owned(), answer },
        _ => Problem::NoItems { expression: connector.response.items.source().to_owned(), answer },
    }
}
