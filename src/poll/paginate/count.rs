//! `page` and `offset`: pages are asked for by counting, so their rows tell where the end is.

use std::collections::HashSet;

use super::{At, PageRead, Step, Truncation};
use crate::model::fingerprint::KeyHash;

/// What the pages of a walk have shown so far.
#[derive(Debug, Default)]
pub(super) struct Count {
    /// How many rows the pages had; `None` if the walk did not begin with the first page.
    rows: Option<u64>,
    /// Whether some page had as many rows as were asked for. Until then, a page with fewer of them may be a full one of
    /// a source that does not give so many.
    has_shown_full_page: bool,
    /// How many rows the source says it has.
    total: Option<u64>,
    /// The last rows of the last page, which the next page shows again.
    asked_again: Vec<KeyHash>,
    /// Before which page rows moved, so that some may have been missed.
    moved_before: Option<usize>,
}

/// The rules of `page`.
pub(super) struct Numbers {
    /// The number of the first page.
    pub start: u64,
    pub size: Option<u64>,
}

/// The rules of `offset`.
pub(super) struct Offsets {
    /// The offset of the first page.
    pub start: u64,
    pub size: u64,
    pub overlap: u64,
}

impl Count {
    /// Returns the count of a walk that begins with the first page, or with another.
    pub fn beginning(with_first: bool) -> Self {
        Self { rows: with_first.then_some(0), ..Self::default() }
    }

    /// Returns before which page rows moved, if they did.
    pub fn moved_before(&self) -> Option<usize> {
        self.moved_before
    }

    /// Returns what follows the page with this number, which is the `read`th of the walk.
    pub fn after_number(&mut self, rules: &Numbers, number: u64, page: &PageRead<'_>, read: usize) -> Step {
        let rows = page.rows.len() as u64;
        self.look_at(page, rules.size, read);
        self.rows = self.rows.map(|before| before + rows);
        let place = number.saturating_sub(rules.start) + 1;
        let total_pages = page.clues.total_pages;
        if page.clues.more == Some(false) || total_pages.is_some_and(|total_pages| place >= total_pages) {
            return Step::Last;
        }
        let next = At::Number(number.saturating_add(1));
        if page.clues.more == Some(true) || total_pages.is_some() {
            return Step::To(next);
        }
        self.end(self.rows, rows, rows, rules.size).unwrap_or(Step::To(next))
    }

    /// Returns what follows the page at this offset, which is the `read`th of the walk.
    pub fn after_offset(&mut self, rules: &Offsets, offset: u64, page: &PageRead<'_>, read: usize) -> Step {
        let rows = page.rows.len() as u64;
        self.look_at(page, Some(rules.size), read);
        let asked_again = std::mem::take(&mut self.asked_again);
        // Rows that were inserted before push known ones to this page, which is no harm. A gap shows in that not one
        // of the last rows is there.
        if !asked_again.is_empty() && rows_are_missing(&asked_again, page.rows) {
            self.moved_before.get_or_insert(read);
        }
        let new_rows = rows.saturating_sub(asked_again.len() as u64);
        match page.clues.more {
            Some(false) => return Step::Last,
            Some(true) if new_rows == 0 => return Step::Stop(Truncation::LeadsNowhere { page: read }),
            Some(true) => {}
            None => {
                let seen = self.rows.map(|_| offset.saturating_sub(rules.start) + rows);
                if let Some(end) = self.end(seen, new_rows, rows, Some(rules.size)) {
                    return end;
                }
            }
        }
        // By what came, not by what was asked for: many a source gives fewer at once. More than that are not rows of the
        // source but what `response.items` makes of them.
        let taken = rows.min(rules.size);
        let overlap = rules.overlap.min(taken.saturating_sub(1));
        let overlapping = usize::try_from(overlap).unwrap_or(usize::MAX).min(page.rows.len());
        self.asked_again = page.rows[page.rows.len() - overlapping..].to_vec();
        Step::To(At::Offset(offset.saturating_add(taken - overlap)))
    }

    fn look_at(&mut self, page: &PageRead<'_>, size: Option<u64>, read: usize) {
        self.has_shown_full_page |= size.is_some_and(|size| page.rows.len() as u64 >= size);
        if let Some(total) = page.clues.total {
            // Where there are fewer rows than before, all behind them have come forward.
            if self.total.is_some_and(|before| total < before) {
                self.moved_before.get_or_insert(read);
            }
            self.total = Some(total);
        }
    }

    /// Returns how paging ends with a page, if it does, as far as rows tell.
    fn end(&self, seen: Option<u64>, new_rows: u64, rows: u64, size: Option<u64>) -> Option<Step> {
        match (seen, self.total) {
            (Some(seen), Some(total)) if seen == total => Some(Step::Last),
            (Some(rows), Some(total)) if rows < total => {
                (new_rows == 0).then_some(Step::Stop(Truncation::FewerThanTotal { rows, total }))
            }
            // A source that tells less than it has shown already does not know how many there are.
            _ => {
                let is_short = self.has_shown_full_page && size.is_some_and(|size| rows < size);
                (new_rows == 0 || is_short).then_some(Step::Last)
            }
        }
    }
}

fn rows_are_missing(asked_again: &[KeyHash], found: &[KeyHash]) -> bool {
    let found: HashSet<&KeyHash> = found.iter().collect();
    !asked_again.iter().any(|row| found.contains(row))
}
