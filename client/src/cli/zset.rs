//! `starling zset add|incr|rem|score|list|top|size`.

use std::collections::BTreeSet;

use bytes::Bytes;
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use starling::ids::Key;
use starling::message::client::{Visible, WriteReply};
use starling::value::Score;
use starling_client::{Client, Error, SortedSet, SortedSetPages};

use super::args::{BytesArg, Global, KeyArg, pairs_of};
use super::elements::{Collection, ElementArg, ElementsArg, ListArgs, Listing, element_json, pages};
use super::exit::Failure;
use super::{elements, output, write};

/// A sorted set: members with a score.
///
/// Each member is a row of its own; the last score of a member wins. The order of arguments is that of Redis: the score
/// stands before the member.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  starling zset add board 10 ann 7.5 bob
  starling zset incr board 2 bob
  starling zset score board bob
  starling zset top board 3                score, tab, member: the highest first
  starling zset list board                 in the order of the members' bytes
  starling zset rem board ann
  starling zset size board")]
pub(crate) struct Zset {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Give members their scores, all or none
    Add {
        #[command(flatten)]
        key: KeyArg,
        /// Scores and members in turn: SCORE MEMBER SCORE MEMBER …
        #[arg(value_name = "SCORE MEMBER", required = true, num_args = 2.., allow_negative_numbers = true)]
        members: Vec<BytesArg>,
    },
    /// Add to a member's score, and print it: a write of the sum that is seen, so of two at once the last one wins
    Incr {
        #[command(flatten)]
        key: KeyArg,
        /// How much; may be negative
        #[arg(value_name = "BY", allow_negative_numbers = true)]
        by: f64,
        /// The member
        #[arg(value_name = "MEMBER", allow_negative_numbers = true)]
        member: BytesArg,
    },
    /// Remove members, all or none
    #[command(alias = "remove", alias = "rm", alias = "del", mut_arg("elements", |arg| arg.value_name("MEMBER")))]
    Rem(ElementsArg),
    /// Print a member's score
    #[command(mut_arg("element", |arg| arg.value_name("MEMBER")))]
    Score(ElementArg),
    /// Print scores and members, in the order of the members' bytes
    #[command(alias = "members", alias = "ls")]
    List(ListArgs),
    /// Print the members with the highest scores, the highest first. Reads the whole set
    Top {
        #[command(flatten)]
        key: KeyArg,
        /// How many
        #[arg(value_name = "COUNT", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=100_000))]
        count: u32,
    },
    /// Print how many members there are: an estimate while writes are on their way
    #[command(alias = "count", alias = "card")]
    Size(KeyArg),
}

impl Zset {
    pub(crate) async fn run(&self, client: &Client, global: &Global) -> Result<(), Failure> {
        let options = global.options();
        let sorted_set = |key: &Key| client.sorted_set(key, &options);
        match &self.action {
            Action::Add { key, members } => {
                let (key, members) = (key.key()?, scored(members)?);
                write::show(client, global, &key, &sorted_set(&key).add(members).await?);
            }
            Action::Incr { key, by, member } => {
                let key = key.key()?;
                let reply = sorted_set(&key).increment(member.bytes(), *by).await?;
                let score = sorted_set(&key).score(member.bytes()).await;
                let shown = score.map(|score| score.and_then(|score| Score::new(score).ok()).map(Visible::Score));
                elements::show_increment(client, global, &key, reply, shown);
            }
            Action::Rem(arguments) => elements::remove(client, global, arguments, sorted_set).await?,
            Action::Score(arguments) => {
                let (key, member) = arguments.key_and_element()?;
                let score = sorted_set(&key).score(member).await?;
                if global.json {
                    output::json(&json!({ "key": output::key_json(&key), "score": score }));
                } else {
                    match score {
                        Some(score) => output::line(&score.to_string()),
                        None => output::remark("(nothing)"),
                    }
                }
            }
            Action::List(arguments) => elements::list(global, arguments, sorted_set).await?,
            Action::Top { key, count } => {
                let key = key.key()?;
                let mut pages = sorted_set(&key).pages(elements::PAGE);
                let mut top = Top::new(*count as usize);
                while let Some(members) = pages.next_page().await? {
                    members.into_iter().for_each(|(member, score)| top.take(member, score));
                }
                let mut listing = Listing::<SortedSet>::new(global.json);
                top.highest_first().for_each(|member| listing.show(&member));
                listing.end(&key, pages.is_partial());
            }
            Action::Size(key) => elements::size(global, key, sorted_set).await?,
        }
        Ok(())
    }
}

pages!(SortedSetPages, (Bytes, f64));

impl Collection for SortedSet {
    type Element = (Bytes, f64);
    type Pages = SortedSetPages;

    async fn remove(&self, elements: Vec<Bytes>) -> Result<WriteReply, Error> {
        self.remove(elements).await
    }

    async fn size(&self) -> Result<u64, Error> {
        self.size().await
    }

    fn pages(&self, count: u16) -> SortedSetPages {
        self.pages(count)
    }

    /// `score⇥member`.
    fn line((member, score): &(Bytes, f64)) -> Vec<u8> {
        [score.to_string().as_bytes(), b"\t", member].concat()
    }

    fn json((member, score): &(Bytes, f64)) -> Value {
        let mut shown = element_json("member", member);
        shown.insert("score".into(), json!(score));
        Value::Object(shown)
    }
}

/// The members with the highest scores of those it was shown, in bounded memory.
struct Top {
    count: usize,
    best: BTreeSet<(Score, Bytes)>,
}

impl Top {
    fn new(count: usize) -> Top {
        Top { count, best: BTreeSet::new() }
    }

    fn take(&mut self, member: Bytes, score: f64) {
        // What is no finite number is no score.
        let Ok(score) = Score::new(score) else { return };
        self.best.insert((score, member));
        if self.best.len() > self.count {
            self.best.pop_first();
        }
    }

    fn highest_first(self) -> impl Iterator<Item = (Bytes, f64)> {
        self.best.into_iter().rev().map(|(score, member)| (member, score.value()))
    }
}

/// Reads scores before members.
fn scored(arguments: &[BytesArg]) -> Result<Vec<(Bytes, f64)>, Failure> {
    let pairs = pairs_of(arguments).map_err(Failure::Usage)?;
    let score = |(score, member): (Bytes, Bytes)| {
        let text = String::from_utf8_lossy(&score);
        let score = text.parse::<f64>();
        score.map(|score| (member, score)).map_err(|_| {
            Failure::Usage(format!("{text:?} is no score; the score stands before its member: zset add KEY 10 ann"))
        })
    };
    pairs.into_iter().map(score).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_top_keeps_the_highest_and_no_more() {
        let mut top = Top::new(2);
        for (member, score) in [("a", 1.0), ("b", -3.0), ("c", 7.5), ("d", f64::NAN), ("e", 2.0)] {
            top.take(Bytes::from(member), score);
        }
        let best = top.highest_first().collect::<Vec<_>>();
        assert_eq!(best, [(Bytes::from("c"), 7.5), (Bytes::from("e"), 2.0)]);
    }
}
