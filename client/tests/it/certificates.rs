//! Who may talk to whom. Under TLS 1.3 a dial succeeds before the node has looked at our certificate, so none of these
//! may end in a call that was taken for sent.

use starling::ids::{ClusterId, NodeId};
use starling::membership::principal::Role;
use starling::message::client::{Options, Outcome};
use starling_client::{Bundle, Client, DialError, Error};

use crate::cluster::{TestCluster, hasty, key};
use crate::fake_node::{FakeNode, Manner, obliging};

#[tokio::test]
async fn a_certificate_that_the_node_does_not_know_is_refused_clearly() {
    let mut cluster = TestCluster::new(1);
    let node = FakeNode::start(&mut cluster, NodeId(1), obliging);
    let stranger = TestCluster::new(1).issue(Role::Client("stranger".into()));
    let bundle = Bundle::load(cluster.bundle_of("stranger", &stranger)).unwrap();
    let client = Client::connect(bundle, hasty()).unwrap();
    let error = client.increment_untagged(&key("k"), 1, &Options::default()).await.unwrap_err();
    assert!(error.is_certificate_refused(), "{error:?}");
    assert_eq!(error.outcome(), Outcome::NotApplied);
    assert!(error.to_string().contains("refused our certificate"), "{error}");
    assert!(node.calls().is_empty());
}

#[tokio::test]
async fn a_node_of_another_authority_is_refused() {
    let mut cluster = TestCluster::with_id(ClusterId([8; 16]), 1);
    let other = TestCluster::with_id(ClusterId([8; 16]), 1);
    let node = FakeNode::start(&mut cluster, NodeId(1), obliging);
    let directory = cluster.bundle();
    std::fs::write(directory.join("ca.pem"), other.authority_pem()).unwrap();
    let client = Client::connect(Bundle::load(&directory).unwrap(), hasty()).unwrap();
    let error = client.get(&key("k"), &Options::default()).await.unwrap_err();
    assert!(error.is_certificate_refused(), "{error:?}");
    assert!(node.calls().is_empty());
}

#[tokio::test]
async fn a_node_that_answers_at_the_address_of_another_is_refused() {
    let mut cluster = TestCluster::new(2);
    let node = FakeNode::start_as(&mut cluster, NodeId(1), NodeId(2), Manner::Polite, obliging);
    let client = cluster.client();
    let error = client.status(NodeId(1), &Options::default()).await.unwrap_err();
    assert!(error.is_certificate_refused(), "{error:?}");
    assert!(error.to_string().contains("not that of the member"), "{error}");
    assert!(node.calls().is_empty());
}

#[tokio::test]
async fn a_node_that_greets_as_another_is_refused() {
    let mut cluster = TestCluster::new(1);
    let node = FakeNode::start_as(&mut cluster, NodeId(1), NodeId(1), Manner::Impostor, obliging);
    let error = cluster.client().status(NodeId(1), &Options::default()).await.unwrap_err();
    let Error::Unreachable { tried } = &error else { panic!("{error:?}") };
    assert!(matches!(tried[0].error, DialError::Protocol(_)), "{error:?}");
    assert!(node.calls().is_empty());
}

#[tokio::test]
async fn a_node_that_closes_in_answer_to_the_greeting_is_quoted() {
    let mut cluster = TestCluster::new(1);
    let _node = FakeNode::start_as(&mut cluster, NodeId(1), NodeId(1), Manner::Closing, obliging);
    let error = cluster.client().status(NodeId(1), &Options::default()).await.unwrap_err();
    let Error::Unreachable { tried } = &error else { panic!("{error:?}") };
    assert_eq!(tried[0].error, DialError::Closed("come back later".into()));
}
