//! The store's promises, on memory and on a real disk.

mod conformance;
mod full_disk;
mod histories;
mod lanes;
mod made;
mod opening;
mod replays;
mod support;

#[cfg(target_os = "linux")]
mod power_loss;
