//! All pages of one poll: seen to be unchanged, or read.

use std::num::NonZeroUsize;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::Semaphore;
use url::Url;

use super::context::FetchContext;
use super::error::{PageError, PollFailure, beginning};
use super::extract::extract;
use super::fetch::{Answer, FetchError, Fetcher, shown};
use super::memo::Memo;
use super::paginate::{Advance, PageRead, Pager, Truncation};
use super::request::PageRequest;
use crate::model::connector::Connector;
use crate::model::fingerprint::BodyHash;
use crate::model::item::{Completeness, Item, PageMemory};

/// The most pages that are remembered: of a longer poll, none is.
pub(super) const MOST_PAGES_REMEMBERED: usize = 500;

/// Walks the pages of one poll. What it counted outlives a walk that was broken off.
pub(super) struct Walker {
    connector: Arc<Connector>,
    context: FetchContext,
    /// How much of each page's answer is shown in its visit.
    pub answer_shown: usize,
    /// What texts came to in an earlier poll under the same rules.
    pub memo: Arc<Memo>,
    /// Every page that was answered, in the order of the requests.
    pub visits: Vec<Visit>,
    /// How many requests were sent, redirects and repeated tries included.
    pub requests: usize,
    /// For how much longer the first page stands, as its answer says.
    pub fresh_for: Option<Duration>,
}

/// One page that was answered.
#[derive(Debug, Clone)]
pub struct Visit {
    /// Its address, secrets taken out.
    pub url: String,
    pub status: u16,
    /// After decompression.
    pub bytes: usize,
    /// From the first request to the last byte, waits between tries included.
    pub elapsed: Duration,
    /// How many values `response.items` gave; zero if the page was not read.
    pub yielded: usize,
    /// How many items are left after `item.filter`.
    pub items: usize,
    /// The beginning of the answer, secrets taken out, if that was asked for.
    pub answer: String,
}

/// What a walk came to.
#[derive(Debug)]
pub(super) enum Walked {
    /// All pages are those of the last poll.
    Unchanged {
        completeness: Completeness,
    },
    Read(Reading),
}

/// The items of a poll's pages.
#[derive(Debug)]
pub(super) struct Reading {
    pub items: Vec<Item>,
    /// What their texts came to.
    pub memo: Memo,
    /// What to remember of the pages; empty if nothing is to be.
    pub pages: Vec<PageMemory>,
    pub completeness: Completeness,
    /// Why a truncated poll ended where it did.
    pub truncation: Option<Truncation>,
    /// Why a partial poll ended where it did.
    pub failure: Option<PollFailure>,
    /// Whether there are pages that cannot be asked for without their secrets, and so cannot be remembered.
    has_secret_pages: bool,
}

struct Page {
    url: Url,
    answer: Answer,
    hash: BodyHash,
}

/// Whether pages are those that are remembered.
enum Revisit {
    Unchanged {
        completeness: Completeness,
    },
    /// They are not. The first page, if it is at hand, need not be fetched again.
    Differs(Option<Box<Page>>),
}

impl Walker {
    pub fn new(connector: Arc<Connector>, context: FetchContext) -> Self {
        Self {
            connector,
            context,
            answer_shown: 0,
            memo: Arc::default(),
            visits: Vec::new(),
            requests: 0,
            fresh_for: None,
        }
    }

    /// Walks all pages. Pages are compared with `remembered` ones first, if there are any, and read only if some of
    /// them differ. Fails if the first page does.
    pub async fn walk(&mut self, pager: Pager, remembered: &[PageMemory]) -> Result<Walked, PollFailure> {
        let first_page = if remembered.is_empty() {
            None
        } else {
            match self.revisit(&pager, remembered).await? {
                Revisit::Unchanged { completeness } => return Ok(Walked::Unchanged { completeness }),
                Revisit::Differs(page) => page,
            }
        };
        self.read(pager, first_page).await.map(Walked::Read)
    }

    /// Asks whether the pages are still those that are remembered, in the same chain.
    async fn revisit(&mut self, pager: &Pager, remembered: &[PageMemory]) -> Result<Revisit, PollFailure> {
        let mut request = pager.request().clone();
        for (index, memory) in remembered.iter().enumerate() {
            if shown(&self.connector, &request.url) != memory.url {
                return Ok(Revisit::Differs(None));
            }
            let answer = self.fetch(pager.home(), &request, Some(memory)).await?;
            if !answer.is_not_modified() {
                let hash = hash(&answer.response.body).await;
                if hash != memory.body {
                    let page = (index == 0).then(|| Box::new(Page { url: request.url, answer, hash }));
                    return Ok(Revisit::Differs(page));
                }
            }
            let (headers, is_not_modified) = (&answer.response.headers, answer.is_not_modified());
            let next = pager
                .next_of_unchanged(&answer.url, headers, is_not_modified, memory.next.as_ref())
                .map_err(|error| self.failed_at(&request, &error))?;
            if next != memory.next {
                return Ok(Revisit::Differs(None));
            }
            let Some(next) = next else { break };
            request = pager.request_at(&next).map_err(|error| self.failed_at(&request, &error))?;
        }
        let ended = remembered.last().is_none_or(|last| last.next.is_none());
        let completeness = if ended { Completeness::Complete } else { Completeness::Truncated };
        Ok(Revisit::Unchanged { completeness })
    }

    /// Reads all pages, page by page. The bytes of those whose items are texts in them stay in memory.
    async fn read(&mut self, mut pager: Pager, first_page: Option<Box<Page>>) -> Result<Reading, PollFailure> {
        let mut reading = Reading {
            items: Vec::new(),
            memo: Memo::default(),
            pages: Vec::new(),
            completeness: Completeness::Complete,
            truncation: None,
            failure: None,
            has_secret_pages: false,
        };
        let mut at_hand = first_page;
        for number in 1.. {
            match self.read_page(number, &mut pager, at_hand.take(), &mut reading).await {
                Ok(Advance::Next) => {}
                Ok(Advance::Last) => break,
                Ok(Advance::Stop(truncation)) => {
                    reading.completeness = Completeness::Truncated;
                    reading.truncation = Some(truncation);
                    break;
                }
                Err(failure) if number == 1 => return Err(failure),
                Err(failure) => {
                    reading.completeness = Completeness::Partial;
                    reading.failure = Some(failure);
                    break;
                }
            }
        }
        if reading.pages.len() > MOST_PAGES_REMEMBERED || reading.has_secret_pages {
            reading.pages.clear();
        }
        Ok(reading)
    }

    /// Reads the pager's present page and goes on to the next one.
    async fn read_page(
        &mut self,
        number: usize,
        pager: &mut Pager,
        at_hand: Option<Box<Page>>,
        reading: &mut Reading,
    ) -> Result<Advance, PollFailure> {
        let request = pager.request().clone();
        let (answer, hash) = match at_hand {
            Some(page) if page.url == request.url => (page.answer, Some(page.hash)),
            _ => (self.fetch(pager.home(), &request, None).await?, None),
        };
        let connector = Arc::clone(&self.connector);
        let memo = Arc::clone(&self.memo);
        let content_type = answer.content_type().map(str::to_owned);
        let body = answer.response.body.clone();
        let understood = compute(move || {
            let extraction = extract(&connector, number, content_type.as_deref(), &body, &memo)?;
            Ok((extraction, hash.unwrap_or_else(|| BodyHash::of(&body))))
        });
        let (extraction, hash) = understood
            .await
            .map_err(|error| PollFailure::at(&self.connector, &shown(&self.connector, &answer.url), &error))?;
        let page = PageRead {
            url: &answer.url,
            headers: &answer.response.headers,
            clues: extraction.clues,
            rows: &extraction.rows,
            body: hash,
        };
        let advance = pager.advance(&page).map_err(|error| self.failed_at(&request, &error))?;
        let next = if advance == Advance::Last { None } else { pager.position() };
        reading.has_secret_pages |= advance != Advance::Last && next.is_none();
        if let Some(visit) = self.visits.last_mut() {
            visit.yielded = extraction.rows.len();
            visit.items = extraction.items.len();
        }
        reading.items.extend(extraction.items);
        reading.memo.extend(extraction.meanings);
        reading.pages.push(PageMemory {
            url: shown(&self.connector, &request.url),
            etag: answer.etag(),
            last_modified: answer.last_modified(),
            body: hash,
            next,
        });
        Ok(advance)
    }

    async fn fetch(
        &mut self,
        home: &Url,
        request: &PageRequest,
        remembered: Option<&PageMemory>,
    ) -> Result<Answer, PollFailure> {
        let began = self.context.clock.monotonic();
        let mut fetcher =
            Fetcher { connector: &self.connector, context: &self.context, home: home.clone(), requests: 0 };
        let result = fetcher.fetch(request, remembered).await;
        self.requests += fetcher.requests;
        let answer = result
            .map_err(|FetchError { error, not_before }| self.failed_at(request, &error).and_not_before(not_before))?;
        if self.visits.is_empty() {
            self.fresh_for = answer.fresh_for();
        }
        self.visits.push(Visit {
            url: shown(&self.connector, &request.url),
            status: answer.response.status,
            bytes: answer.response.body.len(),
            elapsed: self.context.clock.monotonic().saturating_sub(began),
            yielded: 0,
            items: 0,
            answer: beginning(&self.connector.redactor, &answer.response.body, self.answer_shown),
        });
        Ok(answer)
    }

    fn failed_at(&self, request: &PageRequest, error: &PageError) -> PollFailure {
        PollFailure::at(&self.connector, &shown(&self.connector, &request.url), error)
    }
}

/// The largest body that is hashed where it is, because handing it over would take longer.
const HASHED_IN_PLACE: usize = 64 * 1024;

async fn hash(body: &Bytes) -> BodyHash {
    if body.len() <= HASHED_IN_PLACE {
        return BodyHash::of(body);
    }
    let body = body.clone();
    compute(move || BodyHash::of(&body)).await
}

/// Does work that takes the processor for long, without keeping others from theirs. As much of it is done at once as
/// there are processors: more would only take more memory.
pub(super) async fn compute<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    static PROCESSORS: LazyLock<Semaphore> =
        LazyLock::new(|| Semaphore::new(std::thread::available_parallelism().map_or(1, NonZeroUsize::get).max(2)));
    let _permit = PROCESSORS.acquire().await.expect("this semaphore is never closed");
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // Only a runtime that shuts down cancels such work, and it polls nobody any more.
            Err(_) => std::future::pending().await,
        },
    }
}
