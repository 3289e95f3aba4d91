//! Asking every node the same thing at the same time.

use starling::ids::NodeId;
use starling_client::{Client, Error};
use tokio::task::JoinSet;

/// The members of the layout that the client goes by. Who was declared lost never answers again.
pub(crate) fn members(client: &Client) -> Vec<NodeId> {
    let ring = client.ring();
    let layout = ring.layout();
    layout.members.iter().map(|member| member.id).filter(|node| !layout.is_fenced(*node)).collect()
}

/// What each node answered, in the order of `nodes`.
pub(crate) async fn ask<T, F>(nodes: &[NodeId], question: impl Fn(NodeId) -> F) -> Vec<(NodeId, Result<T, Error>)>
where
    T: Send + 'static,
    F: Future<Output = Result<T, Error>> + Send + 'static,
{
    let mut asked = JoinSet::new();
    for node in nodes {
        let answer = question(*node);
        let node = *node;
        asked.spawn(async move { (node, answer.await) });
    }
    let mut answers = asked.join_all().await;
    answers.sort_by_key(|(node, _)| nodes.iter().position(|other| other == node));
    answers
}

/// Why a node did not answer, without its name, which stands beside it.
pub(crate) fn reason(error: &Error) -> String {
    match error {
        Error::Unreachable { tried } => match tried.as_slice() {
            [one] => one.error.to_string(),
            _ => error.to_string(),
        },
        Error::NoAnswer { cause, .. } | Error::NotSent { cause } => cause.clone(),
        Error::Refused { said, .. } | Error::Cluster { said, .. } => said.clone(),
        other => other.to_string(),
    }
}
