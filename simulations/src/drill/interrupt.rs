//! The wish to end: Ctrl-C, a polite kill, or a closed terminal.

use tokio::signal::unix::{SignalKind, signal};

/// Waits until this process is asked to end. Nodes are in process groups of their own, so that a Ctrl-C reaches only
/// this process, which then ends them in good order: to a node a second signal means "at once".
pub async fn interrupted() {
    let wait = |kind| async move {
        match signal(kind) {
            Ok(mut signals) => {
                signals.recv().await;
            }
            // Without a handler the signal ends the process by itself.
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        () = wait(SignalKind::interrupt()) => {}
        () = wait(SignalKind::terminate()) => {}
        () = wait(SignalKind::hangup()) => {}
    }
}
