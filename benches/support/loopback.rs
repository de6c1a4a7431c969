//! Servers on loopback, and the configurations that name them.

use std::net::SocketAddr;
use std::path::Path;

use axum::Router;
use pollhook::config::{self, Configuration, Environment};

/// Starts a server with its own thread and runtime, so that it shares only the processor with what is measured.
pub fn serve(router: Router) -> SocketAddr {
    let (sender, address) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async move {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
            sender.send(listener.local_addr().expect("an address")).expect("someone waits");
            axum::serve(listener, router).await.expect("serving");
        });
    });
    address.recv().expect("the server has started")
}

/// Loads a configuration from text, in a folder.
pub fn configuration(folder: &Path, text: &str) -> Configuration {
    let file = folder.join("config.toml");
    std::fs::write(&file, text).expect("a writable folder");
    match config::load(&file, &Environment::default()) {
        Ok(configuration) => configuration,
        Err(diagnostics) => panic!("{}", diagnostics.render(false)),
    }
}
