//! Processes that a test starts, ended with it whatever happens.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal};

use super::wait;

/// A running process and the lines it has written so far. Dropping it kills it.
pub struct Process {
    name: String,
    child: Child,
    lines: Arc<Mutex<Vec<String>>>,
}

impl Process {
    /// Starts a command and keeps what it writes to standard output and standard error.
    pub fn start(name: &str, command: &mut Command) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{name} cannot be started: {error}"));
        let lines = Arc::default();
        keep_lines(child.stdout.take().expect("it is piped"), Arc::clone(&lines));
        keep_lines(child.stderr.take().expect("it is piped"), Arc::clone(&lines));
        Self { name: name.to_owned(), child, lines }
    }

    /// Returns the lines written so far, both outputs together.
    pub fn lines(&self) -> Vec<String> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until a line yields something. Fails, with all that was written, if the process ends before.
    pub async fn line<T>(&mut self, wanted: &str, patience: Duration, read: impl Fn(&str) -> Option<T>) -> T {
        let what = format!("{} writes {wanted}", self.name);
        wait::until(&what, patience, async || {
            let found = self.lines().iter().find_map(|line| read(line));
            if found.is_none() {
                self.check_alive();
            }
            found
        })
        .await
    }

    /// Fails, with all that was written, if the process has ended.
    pub fn check_alive(&mut self) {
        if let Some(status) = self.child.try_wait().expect("a child can be asked for its state") {
            panic!("{} ended with {status}:\n{}", self.name, self.lines().join("\n"));
        }
    }

    /// Returns its number.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Asks the process to stop with SIGTERM.
    pub fn terminate(&self) {
        let id = i32::try_from(self.id()).ok().and_then(Pid::from_raw).expect("a process id");
        rustix::process::kill_process(id, Signal::TERM).expect("a child can be signalled");
    }

    /// Waits for the end of the process and returns how it ended.
    pub async fn ended(&mut self, patience: Duration) -> ExitStatus {
        let what = format!("{} ends", self.name);
        let child = &mut self.child;
        wait::until(&what, patience, async || child.try_wait().expect("a child can be asked for its state")).await
    }
}

impl Drop for Process {
    /// Kills the process with SIGKILL and waits for its end.
    fn drop(&mut self) {
        // Both fail only if it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn keep_lines(output: impl Read + Send + 'static, lines: Arc<Mutex<Vec<String>>>) {
    thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            lines.lock().unwrap_or_else(PoisonError::into_inner).push(line);
        }
    });
}
