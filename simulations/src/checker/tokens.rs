//! Clients with tokens: whoever wrote or saw something sees it again, through whichever node, or is told that this node
//! cannot show it ("stale").
//!
//! ```text
//! counter (above zero, shared)    never less than the client added, nor than it was shown
//! text    (the client's own)      the last that was acknowledged or shown, or one that ended as unknown
//! set     (the client's own)      a member that was acknowledged or shown is there
//! flag    (the client's own)      up, once that was acknowledged or shown
//! ```
//!
//! When the partition is declared lost, with the last of its owners, a client begins anew: what it knew may be there or not.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use starling::ids::Key;
use starling::message::client::{CollectionCommand, Command, Response, Visible};
use starling::time::Timestamp;

use super::{Evidence, Violation, shown, written};
use crate::workload::readers::FIRST_CONNECTION;
use crate::world::history::{Known, Op, OpNumber};

/// What one client knows of a key.
#[derive(Debug, Default)]
struct Seen<'a> {
    /// Sum of its own acknowledged increments.
    own: i128,
    /// The most that it was shown.
    shown: i128,
    /// The text that was acknowledged or shown last.
    text: Option<Bytes>,
    /// Texts that may come to be there at any time.
    unknown: BTreeSet<&'a Bytes>,
    /// Every text that it wrote.
    written: BTreeSet<&'a Bytes>,
    /// Up to when losses are taken into account.
    until: Timestamp,
    members: BTreeSet<&'a Bytes>,
    is_raised: bool,
}

/// Follows every client with a token through its answers.
pub fn check(evidence: &Evidence<'_>) -> Vec<Violation> {
    let mut known: BTreeMap<(u64, &Key), Seen<'_>> = BTreeMap::new();
    let mut found = Vec::new();
    // Each of these clients asks one thing at a time, so the order of its questions is that of its answers.
    for (number, op) in evidence.world.history.ops().iter().enumerate() {
        if op.connection.0 < FIRST_CONNECTION || op.request.options.token.is_none() {
            continue;
        }
        let brought = match &op.answer {
            Some((_, Response::Value(reply))) => reply.token.is_some(),
            Some((_, Response::Written(reply))) => reply.token.is_some(),
            Some((_, Response::Page(reply))) => reply.token.is_some(),
            _ => true,
        };
        if written(op).is_none() && op.answer.is_some() {
            evidence.judges("tokens");
        }
        let seen = known.entry((op.connection.0, &op.request.key)).or_default();
        let until = op.ended_at().unwrap_or(op.invoked_at);
        if until > seen.until && evidence.is_declared_lost(&op.request.key, seen.until, until) {
            seen.begin_anew();
        }
        seen.until = seen.until.max(until);
        let wrong =
            if brought { seen.after(op) } else { Some("was answered without the token that came with it".into()) };
        if let Some(wrong) = wrong {
            let text = format!("{:?} of {} {wrong}: {:?}", OpNumber(number), op.request.key, op.answer);
            found.push(Violation { checker: "tokens", text });
        }
    }
    found.truncate(5);
    found
}

impl<'a> Seen<'a> {
    /// What it knew may be gone.
    fn begin_anew(&mut self) {
        let mut unknown = std::mem::take(&mut self.unknown);
        unknown.extend(&self.written);
        let written = std::mem::take(&mut self.written);
        *self = Seen { unknown, written, ..Seen::default() };
    }

    /// Takes an answer into account; says what is wrong about it.
    fn after(&mut self, op: &'a Op) -> Option<String> {
        let is_acknowledged = written(op).is_some();
        match (&op.request.command, &op.answer) {
            (Command::Increment { by }, _) if is_acknowledged => self.own += i128::from(*by),
            (Command::Put { value }, _) if is_acknowledged => {
                self.text = Some(value.clone());
                self.written.insert(value);
            }
            (Command::Put { value }, _) if op.known() == Known::Unknown => {
                self.unknown.insert(value);
            }
            (Command::SetFlag { on: true }, _) if is_acknowledged => self.is_raised = true,
            (Command::Collection { command: CollectionCommand::Write { changes }, .. }, _) if is_acknowledged => {
                self.members.extend(changes.iter().map(|write| &write.element));
            }
            (
                Command::Collection { command: CollectionCommand::Read { elements }, .. },
                Some((_, Response::Page(page))),
            ) => {
                let is_shown = |member: &&Bytes| page.elements.iter().any(|(shown, _)| shown == *member);
                let lost = elements.iter().find(|member| self.members.contains(member) && !is_shown(member));
                self.members.extend(elements.iter().filter(is_shown));
                return lost.map(|member| format!("lacks {member:?}, which its client added or was shown"));
            }
            (Command::Get, Some((_, Response::Value(reply)))) => return self.shows(&reply.value),
            _ => {}
        }
        None
    }

    fn shows(&mut self, value: &Visible) -> Option<String> {
        if let Visible::Text(text) = value {
            let is_new = self.text.as_ref() != Some(text);
            let wrong = is_new && !self.unknown.contains(text);
            let wrong =
                wrong.then(|| format!("shows {text:?}, though its client wrote or was shown {:?} later", self.text));
            self.text = Some(text.clone());
            return wrong;
        }
        if shown::is_raised(value) {
            self.is_raised = true;
        }
        let least = self.own.max(self.shown);
        let number = shown::number(value);
        self.shown = self.shown.max(number.unwrap_or(0));
        if self.is_raised && !shown::is_raised(value) {
            return Some("shows the flag down, though its client raised it or was shown it up".into());
        }
        if let Some(text) = &self.text {
            return Some(format!("shows no text, though its client wrote or was shown {text:?}"));
        }
        let is_less = !self.is_raised && number.is_none_or(|number| number < least);
        is_less.then(|| {
            format!("shows less than {least}, though its client wrote {} and was shown {}", self.own, self.shown)
        })
    }
}
