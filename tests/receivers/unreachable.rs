//! Receivers that are not there. When they are, under an address of their own or another one, everything arrives.

use crate::fault::FaultReceiver;
use crate::trial::{self, Trial};

/// Holds what becomes of deliveries to these against the fixture.
pub async fn check() {
    // Bound once and let go: nobody listens there.
    let refused = FaultReceiver::start().address();
    let trials = [
        ("nobody listens there", format!("http://{refused}/hook")),
        ("a name that does not exist", "http://receiver.invalid/hook".to_owned()),
        ("a name that is too long", format!("http://{}.example/hook", "x".repeat(64))),
        ("port 0", "http://127.0.0.1:0/hook".to_owned()),
    ];
    let mut said = Vec::new();
    for (name, url) in trials {
        let text = Trial::new(name, []).run_elsewhere(&url).await;
        // Systems differ in the words that they have for it.
        let lines = text.lines().map(|line| line.split_once(": failed to lookup").map_or(line, |(known, _)| known));
        said.push(format!("{}\n", lines.collect::<Vec<_>>().join("\n")));
    }
    trial::written("unreachable", &said);
}
