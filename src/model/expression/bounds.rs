//! What keeps a run of jaq within its bounds.

use std::any::Any;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use jaq_core::data::HasLut;
use jaq_core::{DataT, Error, Lut};
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
    /// How many steps were left when a value was last measured.
    measured: Cell<u64>,
}

impl Budget {
    /// Runs jaq, and returns why it had to be stopped if so.
    pub(super) fn run<T>(run: impl FnOnce(&Self) -> T) -> Result<T, String> {
        let budget = Self { steps: Cell::new(MOST_STEPS), stack: stack_position(), measured: Cell::new(MOST_STEPS) };
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

/// The deepest nesting of a value that a loop may build.
const DEEPEST: usize = 512;

/// The longest text or array that may be built, in bytes or elements.
const LONGEST: usize = 64 * 1024 * 1024;

/// A value deepens by less than one level a step, and so is measured only after so many of them.
const STEPS_BETWEEN_MEASUREMENTS: u64 = 1000;

impl Budget {
    /// Fails on a value that is too long, or has become too deep for a stack.
    pub(super) fn check(&self, value: Val) -> Result<Val, Error<Val>> {
        Self::check_length(length(&value))?;
        let left = self.steps.get();
        if self.measured.get() - left >= STEPS_BETWEEN_MEASUREMENTS {
            self.measured.set(left);
            if self.is_deeper(&value, DEEPEST) {
                return Err(Error::str(format_args!("a value is nested more than {DEEPEST} deep")));
            }
        }
        Ok(value)
    }

    pub(super) fn plus(left: Val, right: Val) -> Result<Val, Error<Val>> {
        Self::check_length(length(&left).saturating_add(length(&right)))?;
        left + right
    }

    pub(super) fn times(left: Val, right: Val) -> Result<Val, Error<Val>> {
        let times = match (&left, &right) {
            (Val::Num(times), Val::TStr(_) | Val::BStr(_)) | (Val::TStr(_) | Val::BStr(_), Val::Num(times)) => {
                times.as_isize().map_or(usize::MAX, |times| usize::try_from(times).unwrap_or(0))
            }
            _ => 1,
        };
        Self::check_length(length(&left).max(length(&right)).saturating_mul(times))?;
        left * right
    }

    fn check_length(length: usize) -> Result<(), Error<Val>> {
        if length > LONGEST {
            return Err(Error::str(format_args!("a text or array would be longer than {LONGEST}")));
        }
        Ok(())
    }

    fn is_deeper(&self, value: &Val, levels: usize) -> bool {
        let (Some(levels), size) = (levels.checked_sub(1), length(value)) else { return true };
        match value {
            Val::Arr(elements) => {
                self.step(size as u64 / 16);
                elements.iter().any(|element| self.is_deeper(element, levels))
            }
            Val::Obj(members) => {
                self.step(size as u64 / 16);
                members.values().any(|member| self.is_deeper(member, levels))
            }
            _ => false,
        }
    }
}

fn length(value: &Val) -> usize {
    match value {
        Val::TStr(text) | Val::BStr(text) => text.len(),
        Val::Arr(elements) => elements.len(),
        Val::Obj(members) => members.len(),
        _ => 0,
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
