//! A failing history for people: its steps, and under each what it made the nodes say.

use std::fmt;

use starling::message::peer::{Frame, PeerMessage};

use super::cluster::Finding;
use super::instance::Instance;
use super::search;
use super::step::Step;

/// A history that ends badly.
#[derive(Clone, Debug, PartialEq)]
pub struct Failure {
    /// In which instance.
    pub instance: &'static str,
    /// The seed from which the history was drawn; also that of all entropy in it.
    pub seed: u64,
    /// What happened, all of it possible.
    pub steps: Vec<Step>,
    /// What was wrong.
    pub found: Finding,
}

/// Longest text of one message.
const MESSAGE_CHARS_MAX: usize = 260;

/// What a frame says.
pub fn of_frame(frame: &Frame) -> String {
    let said = frame.messages.iter().map(|addressed| of_message(&addressed.message));
    said.collect::<Vec<_>>().join(" │ ")
}

fn of_message(message: &PeerMessage) -> String {
    let text = match message {
        PeerMessage::Ping(_) => "Ping".to_owned(),
        PeerMessage::Pong(_) => "Pong".to_owned(),
        PeerMessage::StabilityAnswer(answer) => {
            let (state, marks) = (&answer.state, answer.state.marks);
            format!(
                "StabilityAnswer round {} {:?} sealed {} frozen {} compacted {} folded {} reports {:?} {:?}",
                answer.round,
                state.standing,
                marks.sealed.0,
                marks.frozen.0,
                marks.compacted.0,
                marks.folded.0,
                state.report.map(|report| report.tick.0),
                state.baseline_report.map(|report| report.tick.0)
            )
        }
        other => format!("{other:?}"),
    };
    if text.chars().count() <= MESSAGE_CHARS_MAX {
        return text;
    }
    text.chars().take(MESSAGE_CHARS_MAX).chain(['…']).collect()
}

impl Failure {
    /// The steps alone.
    pub fn short(&self) -> String {
        let steps: Vec<String> =
            self.steps.iter().enumerate().map(|(number, step)| format!("{number:>4}  {step}\n")).collect();
        format!(
            "{}, seed {}, {} steps\n{}      {}",
            self.instance,
            self.seed,
            self.steps.len(),
            steps.concat(),
            self.found
        )
    }

    /// The steps with all that follows from each.
    pub fn long(&self, instance: &Instance) -> Vec<String> {
        search::told(instance, self.seed, &self.steps)
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.promise, self.text)
    }
}
