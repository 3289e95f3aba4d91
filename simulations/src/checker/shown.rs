//! What answers show, as numbers and texts that checkers compare.

use bytes::Bytes;
use starling::message::client::Visible;

/// The number; nothing counts as zero.
pub fn number(visible: &Visible) -> Option<i128> {
    match visible {
        Visible::Nothing => Some(0),
        Visible::Integer { value, saturated: false } => Some(i128::from(*value)),
        _ => None,
    }
}

/// Whether a flag is up.
pub fn is_raised(visible: &Visible) -> bool {
    *visible == Visible::Flag
}

/// How many distinct items a sketch estimates; nothing counts as zero.
pub fn estimate(visible: &Visible) -> Option<u64> {
    match visible {
        Visible::Nothing => Some(0),
        Visible::Estimate(count) => Some(*count),
        _ => None,
    }
}

/// All concurrent values.
pub fn siblings(visible: &Visible) -> Vec<Bytes> {
    if let Visible::Siblings(values) = visible { values.clone() } else { Vec::new() }
}

/// A score.
pub fn score(visible: &Visible) -> Option<f64> {
    if let Visible::Score(score) = visible { Some(score.value()) } else { None }
}

/// The text of a string: of a number its digits, of nothing none.
pub fn text(visible: &Visible) -> Option<Bytes> {
    match visible {
        Visible::Text(text) => Some(text.clone()),
        Visible::Integer { value, .. } => Some(Bytes::from(value.to_string())),
        _ => None,
    }
}
