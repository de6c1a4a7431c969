//! The sample API of the demo: a shop whose orders appear, change and vanish.

use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Json;
use axum::Router;
use axum::extract::{Query, State};
use axum::http::header::LINK;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use crate::clock::SharedClock;
use crate::model::change::ChangeKind;
use crate::model::time::Timestamp;

/// One version of one order: what a delivery must tell exactly once.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Version {
    pub kind: ChangeKind,
    /// The order's number, as text.
    pub key: String,
    /// Counts the changes of this order. A removal has the version that was removed.
    pub version: u64,
}

/// A sample API that tells what it changed, so that what arrives can be held against it.
pub struct Shop {
    clock: SharedClock,
    changed: mpsc::UnboundedSender<(Version, Timestamp)>,
    stock: Mutex<Stock>,
}

struct Stock {
    orders: Vec<Order>,
    next_number: u64,
    random: fastrand::Rng,
    round: u64,
    /// When the last round of changes was made; `None` until the first poll, which finds the shop as it opened.
    changed_at: Option<Timestamp>,
    open: bool,
}

#[derive(Debug, Clone, Serialize)]
struct Order {
    id: u64,
    customer: &'static str,
    status: &'static str,
    /// In cents.
    total: u64,
    version: u64,
    #[serde(skip)]
    touched_in: u64,
}

const CUSTOMERS: [&str; 6] = ["Ada", "Blaise", "Chiara", "Dmitri", "Edsger", "Grace"];
const STATUSES: [&str; 4] = ["new", "paid", "packed", "shipped"];
const ORDERS_PER_PAGE: usize = 5;
const CHANGES_PER_ROUND: usize = 3;

/// How many rounds an order is left alone after a change, so that each version is there to be seen.
const ROUNDS_BETWEEN_CHANGES: u64 = 3;

/// The shortest time between two rounds of changes: shorter than the demo polls, longer than one poll takes.
const BETWEEN_ROUNDS: Duration = Duration::from_millis(700);

impl Shop {
    /// Returns a shop with a few orders. Each change is sent over the channel before it can be seen.
    pub fn new(clock: SharedClock, changed: mpsc::UnboundedSender<(Version, Timestamp)>) -> Self {
        let mut stock = Stock {
            orders: Vec::new(),
            next_number: 1001,
            random: fastrand::Rng::new(),
            round: 0,
            changed_at: None,
            open: true,
        };
        for _ in 0..8 {
            stock.create();
        }
        Self { clock, changed, stock: Mutex::new(stock) }
    }

    /// Changes nothing any more.
    pub fn close(&self) {
        self.stock.lock().unwrap_or_else(PoisonError::into_inner).open = false;
    }

    /// Serves `GET /orders?page=N` for as long as it is polled.
    pub async fn serve(self: Arc<Self>, listener: TcpListener) -> std::io::Result<()> {
        axum::serve(listener, Router::new().route("/orders", get(orders)).with_state(self)).await
    }

    fn change_something(&self, stock: &mut Stock) {
        let now = self.clock.now();
        let Some(changed_at) = stock.changed_at else {
            stock.changed_at = Some(now);
            return;
        };
        if !stock.open || now.since(changed_at) < BETWEEN_ROUNDS {
            return;
        }
        stock.changed_at = Some(now);
        stock.round += 1;
        for _ in 0..CHANGES_PER_ROUND {
            let version = match stock.random.u8(0..10) {
                0..4 => Some(stock.create()),
                4..8 => stock.update(),
                _ => stock.remove(),
            };
            if let Some(version) = version {
                // The demo is ending when nobody listens any more.
                let _ = self.changed.send((version, now));
            }
        }
    }
}

impl Stock {
    fn create(&mut self) -> Version {
        let id = self.next_number;
        self.next_number += 1;
        let customer = CUSTOMERS[self.random.usize(0..CUSTOMERS.len())];
        let total = self.random.u64(500..50_000);
        self.orders.push(Order { id, customer, status: STATUSES[0], total, version: 1, touched_in: self.round });
        Version { kind: ChangeKind::Created, key: id.to_string(), version: 1 }
    }

    fn update(&mut self) -> Option<Version> {
        let at = self.choose(|order| order.status != STATUSES[STATUSES.len() - 1])?;
        let order = &mut self.orders[at];
        let step = STATUSES.iter().position(|status| *status == order.status)? + 1;
        order.status = STATUSES[step];
        order.version += 1;
        order.touched_in = self.round;
        Some(Version { kind: ChangeKind::Updated, key: order.id.to_string(), version: order.version })
    }

    fn remove(&mut self) -> Option<Version> {
        let at = self.choose(|_| true)?;
        let order = self.orders.remove(at);
        Some(Version { kind: ChangeKind::Removed, key: order.id.to_string(), version: order.version })
    }

    fn choose(&mut self, suits: impl Fn(&Order) -> bool) -> Option<usize> {
        let rested = |order: &Order| order.touched_in + ROUNDS_BETWEEN_CHANGES <= self.round;
        let choices: Vec<usize> =
            (0..self.orders.len()).filter(|&at| rested(&self.orders[at]) && suits(&self.orders[at])).collect();
        (!choices.is_empty()).then(|| choices[self.random.usize(0..choices.len())])
    }
}

#[derive(Debug, Deserialize)]
struct Page {
    #[serde(default = "first_page")]
    page: usize,
}

fn first_page() -> usize {
    1
}

async fn orders(State(shop): State<Arc<Shop>>, Query(Page { page }): Query<Page>) -> Response {
    let mut stock = shop.stock.lock().unwrap_or_else(PoisonError::into_inner);
    // Only between two polls, so that one poll sees one state of the shop on all of its pages.
    if page == 1 {
        shop.change_something(&mut stock);
    }
    let start = page.saturating_sub(1).saturating_mul(ORDERS_PER_PAGE);
    let orders: Vec<Order> = stock.orders.iter().skip(start).take(ORDERS_PER_PAGE).cloned().collect();
    let mut link = String::new();
    if stock.orders.len() > start.saturating_add(ORDERS_PER_PAGE) {
        let _ = write!(link, "</orders?page={}>; rel=\"next\"", page + 1);
    }
    if link.is_empty() { Json(orders).into_response() } else { ([(LINK, link)], Json(orders)).into_response() }
}
