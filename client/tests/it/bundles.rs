//! Every way in which a bundle can be unusable names the file and what to do.

use starling_client::{Bundle, BundleError, Client, ClientConfig, ConnectError};

use crate::cluster::TestCluster;

#[test]
fn a_bundle_reads_back_the_layout_that_was_written() {
    let cluster = TestCluster::new(5);
    let bundle = Bundle::load(cluster.bundle()).unwrap();
    assert_eq!(**bundle.ring().layout(), cluster.layout);
    assert!(!format!("{bundle:?}").contains("PRIVATE"), "the key must not be shown");
}

#[test]
fn a_missing_directory_says_how_to_get_one() {
    let error = Bundle::load("/nowhere/at/all").unwrap_err();
    assert!(matches!(error, BundleError::NoDirectory { .. }));
    let text = error.to_string();
    assert!(text.contains("/nowhere/at/all") && text.contains("init-cluster"), "{text}");
}

#[test]
fn each_missing_file_is_named() {
    let cluster = TestCluster::new(1);
    for name in ["layout.toml", "ca.pem", "cert.pem", "key.pem"] {
        let directory = cluster.bundle();
        std::fs::remove_file(directory.join(name)).unwrap();
        let text = Bundle::load(&directory).unwrap_err().to_string();
        assert!(text.contains(name), "{text}");
    }
}

#[test]
fn each_malformed_file_is_named() {
    let cluster = TestCluster::new(1);
    for (name, content) in [
        ("layout.toml", b"cluster = 3".as_slice()),
        ("layout.toml", b"\xff"),
        ("ca.pem", b""),
        ("cert.pem", b"-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----\n"),
        ("key.pem", b"no key"),
    ] {
        let directory = cluster.bundle();
        std::fs::write(directory.join(name), content).unwrap();
        let error = Bundle::load(&directory).unwrap_err();
        assert!(matches!(error, BundleError::Malformed { .. }), "{error:?}");
        assert!(error.to_string().contains(name), "{error}");
    }
}

#[test]
fn a_file_that_is_far_too_large_is_not_read() {
    let cluster = TestCluster::new(1);
    let directory = cluster.bundle();
    std::fs::write(directory.join("ca.pem"), vec![b'x'; 5 * 1024 * 1024]).unwrap();
    let error = Bundle::load(&directory).unwrap_err();
    assert!(matches!(error, BundleError::TooLarge { .. }), "{error}");
}

#[test]
fn a_layout_that_was_changed_by_hand_is_refused() {
    let cluster = TestCluster::new(3);
    let directory = cluster.bundle();
    let file = directory.join("layout.toml");
    let text = std::fs::read_to_string(&file).unwrap().replace("write_quorum = 2", "write_quorum = 1");
    std::fs::write(&file, text).unwrap();
    let error = Bundle::load(&directory).unwrap_err();
    assert!(matches!(error, BundleError::Layout { .. }), "{error}");
}

#[tokio::test]
async fn a_key_of_another_certificate_is_refused_before_anything_is_dialled() {
    let cluster = TestCluster::new(1);
    let directory = cluster.bundle();
    std::fs::write(
        directory.join("key.pem"),
        cluster.issue(starling::membership::principal::Role::Client("x".into())).key,
    )
    .unwrap();
    let error = Client::connect(Bundle::load(&directory).unwrap(), ClientConfig::default()).err().unwrap();
    assert!(matches!(error, ConnectError::Certificates { .. }), "{error}");
    assert!(error.to_string().contains("key.pem"), "{error}");
}

#[tokio::test]
async fn settings_that_make_no_sense_are_refused() {
    let cluster = TestCluster::new(1);
    for config in [
        ClientConfig { in_flight_max: 0, ..ClientConfig::default() },
        ClientConfig { connections_per_node: 0, ..ClientConfig::default() },
        ClientConfig { deadline: std::time::Duration::ZERO, ..ClientConfig::default() },
        ClientConfig { backoff_min: std::time::Duration::from_secs(9), ..ClientConfig::default() },
        ClientConfig { deadline: std::time::Duration::MAX, ..ClientConfig::default() },
    ] {
        let error = Client::connect(Bundle::load(cluster.bundle()).unwrap(), config).err().unwrap();
        assert!(matches!(error, ConnectError::Setting { .. }), "{error}");
    }
}
