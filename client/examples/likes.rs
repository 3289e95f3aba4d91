//! Likes a post a few times and shows the count. Start a cluster, then:
//!
//! ```text
//! cargo run -p starling-client --example likes -- shop/client post:42 3
//! ```

use starling::ids::Key;
use starling::message::client::{Options, Outcome, Visible};
use starling_client::{Bundle, Client, ClientConfig};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(bundle), Some(post)) = (arguments.next(), arguments.next()) else {
        return Err("usage: likes BUNDLE POST [TIMES]".into());
    };
    let times: u32 = arguments.next().map_or(Ok(1), |times| times.parse())?;

    let client = Client::connect(Bundle::load(bundle)?, ClientConfig::default())?;
    let key = Key::new(format!("likes:{post}"))?;

    let (mut applied, mut unknown) = (0, 0);
    for _ in 0..times {
        match client.increment(&key, 1, &Options::default()).await {
            Ok(_) => applied += 1,
            // Nothing changed: it could be sent again without counting twice.
            Err(error) if error.outcome() == Outcome::NotApplied => eprintln!("{error}"),
            // It may have been counted. Sending it again might count it twice, so this example does not.
            Err(error) => {
                unknown += 1;
                eprintln!("{error}");
            }
        }
    }
    println!("{applied} likes were counted, {unknown} may have been");

    let reply = client.get(&key, &Options::default()).await?;
    let side = if reply.partial { " (as this side of a network split sees it)" } else { "" };
    match reply.value {
        Visible::Integer { value, .. } => println!("{post} has {value} likes{side}"),
        Visible::Nothing => println!("nobody likes {post} yet{side}"),
        Visible::Text(text) => println!("{post} holds a text: {}{side}", text.escape_ascii()),
        other => println!("{post} holds something else: {other:?}{side}"),
    }
    client.close().await;
    Ok(())
}
