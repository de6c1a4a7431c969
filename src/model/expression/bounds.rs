//! What keeps a run of jaq within its bounds.

use std::any::Any;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use jaq_core::data::HasLut;
use jaq_core::{DataT, Lut};
use jaq_json::Val;

/// The most steps that one run may take: a second or so of work.
pub const MOST_STEPS: u64 = 30_000_000;

/// The most outputs that one run may have.
pub const MOST_OUTPUTS: usize = 1_000_000;

/// The most stack that one run may use, in bytes: half of what a thread of the service has.
const MOST_STACK: usize = 1024 * 1024;

/// Why a run was stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stop {
    Steps,
    Stack,
}

/// What one run may still use up.
pub(super) struct Budget {
    steps: Cell<u64>,
    stack: usize,
}

impl Budget {
    /// Runs jaq, and returns why it had to be stopped if so.
    pub(super) fn run<T>(run: impl FnOnce(&Self) -> T) -> Result<T, String> {
        let budget = Self { steps: Cell::new(MOST_STEPS), stack: stack_position() };
        catch_unwind(AssertUnwindSafe(|| run(&budget))).map_err(|stop| explain(&*stop))
    }

    /// Counts steps, and stops the run by unwinding when there were too many or they are nested too deeply.
    ///
    /// jaq asks for its program at each step and cannot be refused it, hence the unwinding.
    pub(super) fn step(&self, steps: u64) {
        match self.steps.get().checked_sub(steps) {
            Some(left) => self.steps.set(left),
            None => resume_unwind(Box::new(Stop::Steps)),
        }
        if self.stack.abs_diff(stack_position()) > MOST_STACK {
            resume_unwind(Box::new(Stop::Stack));
        }
    }
}

fn explain(stop: &(dyn Any + Send)) -> String {
    match stop.downcast_ref::<Stop>() {
        Some(Stop::Steps) => format!("stopped after {MOST_STEPS} steps"),
        Some(Stop::Stack) => "stopped, being nested too deeply".to_owned(),
        None => "stopped by a fault in the jq interpreter".to_owned(),
    }
}

#[inline(never)]
fn stack_position() -> usize {
    let here = 0_u8;
    std::hint::black_box(&raw const here).addr()
}

/// The kind of data that our programs run on.
pub(super) struct Kind;

impl DataT for Kind {
    type V<'a> = Val;
    type Data<'a> = Run<'a>;
}

/// One run of a program.
#[derive(Clone, Copy)]
pub(super) struct Run<'a> {
    pub(super) program: &'a Lut<Kind>,
    pub(super) budget: &'a Budget,
}

impl<'a> HasLut<'a, Kind> for Run<'a> {
    fn lut(&self) -> &'a Lut<Kind> {
        self.budget.step(1);
        self.program
    }
}
