//! Likes a post a few times, each like exactly once, and shows the count. Start a cluster, then:
//!
//! ```text
//! cargo run -p starling-client --example likes -- shop/client post:42 3
//! ```
//!
//! Cut the network or kill nodes meanwhile: a like whose answer is lost is asked for again, through any node, and still
//! counts once.

use std::time::Duration;

use starling::ids::Key;
use starling::message::client::{Options, Outcome, Visible};
use starling_client::{Bundle, Client, ClientConfig, SessionConfig};

/// How long to wait for likes that are in doubt.
const PATIENCE: Duration = Duration::from_secs(20);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(bundle), Some(post)) = (arguments.next(), arguments.next()) else {
        return Err("usage: likes BUNDLE POST [TIMES]".into());
    };
    let times: u32 = arguments.next().map_or(Ok(1), |times| times.parse())?;

    let client = Client::connect(Bundle::load(bundle)?, ClientConfig::default())?;
    let session = client.session(SessionConfig::one_shot());
    let key = Key::new(format!("likes:{post}"))?;

    let (mut counted, mut in_doubt) = (0, 0);
    for _ in 0..times {
        match session.increment(&key, 1, &Options::default()).await {
            Ok(_) => counted += 1,
            // It does not count, and never will: it could be tried again.
            Err(error) if error.outcome() == Outcome::NotApplied => eprintln!("{error}"),
            // It counts once at most, and the session goes on asking. Sending it again would be another like.
            Err(error) => {
                in_doubt += 1;
                eprintln!("{error}");
            }
        }
    }
    if tokio::time::timeout(PATIENCE, session.settled()).await.is_err() {
        eprintln!("{} likes are still in doubt", session.unsettled());
    }
    println!("{counted} likes were counted at once, {in_doubt} were in doubt");

    let reply = client.get(&key, &Options::default()).await?;
    let side = if reply.partial { " (as this side of a network split sees it)" } else { "" };
    match reply.value {
        Visible::Integer { value, .. } => println!("{post} has {value} likes{side}"),
        Visible::Nothing => println!("nobody likes {post} yet{side}"),
        other => println!("{post} holds something else: {other:?}{side}"),
    }
    client.close().await;
    Ok(())
}
