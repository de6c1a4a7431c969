//! The pages of one poll, one after the other: seen to be unchanged, or read.

use std::num::NonZeroUsize;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::Semaphore;
use url::Url;

use super::context::FetchContext;
use super::cursor::Watermark;
use super::error::{PageError, PollFailure};
use super::extract::extract;
use super::fetch::{Answer, FetchError, Fetcher, shown};
use super::memo::Memo;
use super::paginate::{Advance, PageRead, Pager, Truncation};
use super::request::PageRequest;
use crate::model::connector::Connector;
use crate::model::fingerprint::BodyHash;
use crate::model::item::{Item, PageMemory};
use crate::model::pagination::PagePosition;

/// The most pages that are remembered: of a longer poll, none is.
pub(super) const MOST_PAGES_REMEMBERED: usize = 500;

/// Walks the pages of one poll. What it counted outlives a walk that was broken off.
pub(super) struct Walker {
    connector: Arc<Connector>,
    context: FetchContext,
    pager: Pager,
    /// Whether visits are kept.
    pub keeps_visits: bool,
    /// What texts came to in an earlier poll under the same rules.
    pub memo: Arc<Memo>,
    /// What they came to in this one.
    pub new_memo: Memo,
    /// Every page that was answered, in the order of the requests.
    pub visits: Vec<Visit>,
    pub counts: Counts,
    /// For how much longer the first page stands, as its answer says.
    pub fresh_for: Option<Duration>,
    /// How many pages were read.
    read: usize,
    /// The first page, if it was fetched already to see whether it is as it was.
    at_hand: Option<Box<FetchedPage>>,
    /// What to remember of the pages that were read; `None` if that is nothing.
    memory: Option<Vec<PageMemory>>,
}

/// What a poll asked for and got.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counts {
    /// Pages that were answered.
    pub pages: usize,
    /// Requests that were sent, redirects and repeated tries included.
    pub requests: usize,
    /// Of all answers, after decompression.
    pub bytes: usize,
}

/// One page that was answered.
#[derive(Debug, Clone)]
pub struct Visit {
    /// Its address, secrets taken out.
    pub url: String,
    pub status: u16,
    /// After decompression.
    pub bytes: usize,
    /// How many bytes came, before decompression; zero if nothing came over the network.
    pub received: u64,
    /// From the first request to the last byte, waits between tries included.
    pub elapsed: Duration,
    /// How many values `response.items` gave; zero if the page was not read.
    pub yielded: usize,
    /// How many items are left after `item.filter`.
    pub items: usize,
    /// What its format is called; `None` if it was not understood.
    pub format: Option<&'static str>,
    /// How long it took to find out what it says, as far as that comes before its items.
    pub decoding: Duration,
    /// How long it took to find its items.
    pub extracting: Duration,
    pub content_type: Option<String>,
    /// Its body; empty of pages between the first and the last.
    pub body: Bytes,
}

/// A page that was read.
#[derive(Debug)]
pub(super) struct Page {
    pub items: Vec<Item>,
    /// How many values `response.items` gave, before `item.filter`.
    pub yielded: usize,
    /// The largest cursor value of these.
    pub watermark: Watermark,
    /// What follows it.
    pub advance: Advance,
}

struct FetchedPage {
    url: Url,
    answer: Answer,
    hash: BodyHash,
}

impl Walker {
    /// Returns a walker that has asked for nothing yet, and begins at the pager's present page.
    pub fn new(connector: Arc<Connector>, context: FetchContext, pager: Pager) -> Self {
        Self {
            connector,
            context,
            pager,
            keeps_visits: false,
            memo: Arc::default(),
            new_memo: Memo::default(),
            visits: Vec::new(),
            counts: Counts::default(),
            fresh_for: None,
            read: 0,
            at_hand: None,
            memory: Some(Vec::new()),
        }
    }

    /// Returns where the connector's auth may go: the address of its first page.
    pub fn home(&self) -> &Url {
        self.pager.home()
    }

    /// Asks whether the pages are still those that are remembered, in the same chain. If the first page, already, is
    /// not, it need not be fetched again to be read.
    pub async fn is_unchanged(&mut self, remembered: &[PageMemory]) -> Result<bool, PollFailure> {
        let mut request = self.pager.request().clone();
        for (index, memory) in remembered.iter().enumerate() {
            if shown(&self.connector, &request.url) != memory.url {
                return Ok(false);
            }
            let answer = self.fetch(&request, Some(memory)).await?;
            if !answer.is_not_modified() {
                let hash = hash(&answer.response.body).await;
                if hash != memory.body {
                    self.at_hand = (index == 0).then(|| Box::new(FetchedPage { url: request.url, answer, hash }));
                    return Ok(false);
                }
            }
            let (headers, is_not_modified) = (&answer.response.headers, answer.is_not_modified());
            let next = self
                .pager
                .next_of_unchanged(&answer.url, headers, is_not_modified, memory.next.as_ref())
                .map_err(|error| self.failed_at(&request.url, &error))?;
            if next != memory.next {
                return Ok(false);
            }
            let Some(next) = next else { break };
            if index + 1 < remembered.len() {
                request = self.pager.request_at(&next).map_err(|error| self.failed_at(&request.url, &error))?;
            }
        }
        Ok(true)
    }

    /// Reads the present page and goes on to the next one.
    pub async fn next_page(&mut self) -> Result<Page, PollFailure> {
        let request = self.pager.request().clone();
        let (answer, hash) = match self.at_hand.take() {
            Some(page) if page.url == request.url => (page.answer, Some(page.hash)),
            _ => (self.fetch(&request, None).await?, None),
        };
        self.read += 1;
        let number = self.read;
        let connector = Arc::clone(&self.connector);
        let memo = Arc::clone(&self.memo);
        let content_type = answer.content_type().map(str::to_owned);
        let body = answer.response.body.clone();
        let url = answer.url.clone();
        let clock = self.context.clock.clone();
        let understood = compute(move || {
            let began = clock.monotonic();
            let extraction = extract(&connector, number, &url, content_type.as_deref(), &body, &memo, &*clock)?;
            let took = clock.monotonic().saturating_sub(began);
            Ok((extraction, took, hash.unwrap_or_else(|| BodyHash::of(&body))))
        });
        let (extraction, took, hash) = understood.await.map_err(|error| self.failed_at(&answer.url, &error))?;
        let page = PageRead {
            url: &answer.url,
            headers: &answer.response.headers,
            clues: extraction.clues,
            rows: &extraction.rows,
            body: hash,
        };
        let advance = self.pager.advance(&page).map_err(|error| self.failed_at(&request.url, &error))?;
        if let Some(visit) = self.visits.last_mut() {
            visit.format = Some(extraction.format);
            visit.decoding = extraction.decoding;
            visit.extracting = took.saturating_sub(extraction.decoding);
            visit.yielded = extraction.rows.len();
            visit.items = extraction.items.len();
        }
        if number == 1 {
            self.fresh_for = self.fresh_for.max(extraction.fresh_for);
        }
        self.new_memo.extend(extraction.meanings);
        self.remember(&request, &answer, hash, &advance);
        let (items, watermark) = (extraction.items, extraction.watermark);
        Ok(Page { items, yielded: extraction.rows.len(), watermark, advance })
    }

    /// Returns the page that would be read next, in a form that can be kept; `None` if it cannot be asked for without
    /// its secrets.
    pub fn position(&self) -> Option<PagePosition> {
        self.pager.position()
    }

    /// Returns that rows moved while they were read, if they did.
    pub fn rows_moved(&self) -> Option<Truncation> {
        self.pager.rows_moved()
    }

    /// Returns what to remember of the pages that were read, if it was all of them.
    pub fn take_memory(&mut self) -> Vec<PageMemory> {
        self.memory.take().unwrap_or_default()
    }

    fn remember(&mut self, request: &PageRequest, answer: &Answer, body: BodyHash, advance: &Advance) {
        let next = if *advance == Advance::Last { None } else { self.pager.position() };
        let has_secrets = *advance != Advance::Last && next.is_none();
        self.memory = self.memory.take().filter(|pages| pages.len() < MOST_PAGES_REMEMBERED && !has_secrets);
        if let Some(pages) = &mut self.memory {
            pages.push(PageMemory {
                url: shown(&self.connector, &request.url),
                etag: answer.etag(),
                last_modified: answer.last_modified(),
                body,
                next,
            });
        }
    }

    async fn fetch(&mut self, request: &PageRequest, remembered: Option<&PageMemory>) -> Result<Answer, PollFailure> {
        let began = self.context.clock.monotonic();
        let home = self.pager.home().clone();
        let mut fetcher = Fetcher { connector: &self.connector, context: &self.context, home, requests: 0 };
        let result = fetcher.fetch(request, remembered).await;
        self.counts.requests += fetcher.requests;
        let answer = result.map_err(|FetchError { error, not_before }| {
            self.failed_at(&request.url, &error).and_not_before(not_before)
        })?;
        if self.counts.pages == 0 {
            self.fresh_for = answer.fresh_for();
        }
        self.counts.pages += 1;
        self.counts.bytes += answer.response.body.len();
        if self.keeps_visits {
            if let [_, .., between] = &mut self.visits[..] {
                between.body = Bytes::new();
            }
            self.visits.push(Visit {
                url: shown(&self.connector, &request.url),
                status: answer.response.status,
                bytes: answer.response.body.len(),
                received: answer.response.received,
                elapsed: self.context.clock.monotonic().saturating_sub(began),
                yielded: 0,
                items: 0,
                format: None,
                decoding: Duration::ZERO,
                extracting: Duration::ZERO,
                content_type: answer.content_type().map(str::to_owned),
                body: answer.response.body.clone(),
            });
        }
        Ok(answer)
    }

    fn failed_at(&self, url: &Url, error: &PageError) -> PollFailure {
        PollFailure::at(&self.connector, &shown(&self.connector, url), error)
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
