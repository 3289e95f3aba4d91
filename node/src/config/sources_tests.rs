//! Tests of the sources: who wins, and what an error names.

use std::time::Duration;

use starling::config::ShardConfig;

use super::*;

/// Sources that give what is needed, with more on top.
fn sources(flags: &[(&str, &str)], variables: &[(&str, &str)], file: Option<PathBuf>) -> Sources {
    let map = |pairs: &[(&str, &str)]| {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect::<BTreeMap<_, _>>()
    };
    let mut flags = map(flags);
    flags.entry("bundle".into()).or_insert("shop/members/a".into());
    flags.entry("data".into()).or_insert("data".into());
    Sources { flags, variables: map(variables), file }
}

fn file(text: &str) -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("node.toml");
    std::fs::write(&path, text).unwrap();
    (directory, path)
}

fn refusal(sources: Sources) -> String {
    sources.resolve().unwrap_err().to_string()
}

#[test]
fn the_defaults_are_those_of_the_core() {
    let effective = sources(&[], &[], None).resolve().unwrap();
    assert_eq!(effective.settings.shard, ShardConfig::default());
    assert_eq!(effective.settings.disk_reserve, 1 << 30);
    assert_eq!(effective.origins.len(), SETTINGS.len());
}

#[test]
fn flags_win_over_the_environment_and_that_over_the_file() {
    let (_directory, path) = file("request_deadline = \"1s\"\nwiden_after = \"10ms\"\nshards = 2\nstrict = true");
    let variables = [("STARLING_NODE_WIDEN_AFTER", "20ms"), ("STARLING_NODE_SHARDS", "3")];
    let effective = sources(&[("shards", "4")], &variables, Some(path.clone())).resolve().unwrap();
    let Effective { settings, origins } = effective;
    assert_eq!(settings.shard.request_deadline, Duration::from_secs(1));
    assert_eq!(settings.shard.widen_after, Duration::from_millis(20));
    assert_eq!((settings.shards, settings.shard.strict), (4, true));
    let origin = |key| origins.iter().find(|(name, _, _)| *name == key).unwrap().2.clone();
    assert_eq!(origin("request_deadline"), Origin::File(path));
    assert_eq!(origin("widen_after"), Origin::Variable("STARLING_NODE_WIDEN_AFTER".into()));
    assert_eq!(origin("shards"), Origin::Flag("shards"));
    assert_eq!(origin("log"), Origin::Default);
}

#[test]
fn a_bad_value_names_the_key_the_source_and_the_reason() {
    let text = refusal(sources(&[("request_deadline", "5 parsecs")], &[], None));
    assert_eq!(
        text,
        "setting request_deadline (flag --request-deadline): \"5 parsecs\" is not a duration; write a whole number \
         and a unit: 250ms, 30s, 5m, 1h"
    );
    let text = refusal(sources(&[], &[("STARLING_NODE_DURABILITY", "maybe")], None));
    assert_eq!(text, "setting durability (environment STARLING_NODE_DURABILITY): \"maybe\" is none of: fsync, wal");
}

#[test]
fn every_setting_refuses_what_makes_no_sense() {
    let bad = [
        ("bundle", ""),
        ("listen", "localhost"),
        ("shards", "0"),
        ("shards", "65"),
        ("disk_reserve", "lots"),
        ("strict", "yes"),
        ("actor_lease", "15s"),
        ("actor_lease", "0"),
        ("log", "info=loud"),
        ("log_format", "xml"),
    ];
    for (key, value) in bad {
        let text = refusal(sources(&[(key, value)], &[], None));
        assert!(text.contains(key), "{text}");
    }
}

#[test]
fn unknown_keys_are_errors_everywhere() {
    let (_directory, path) = file("reqest_deadline = \"1s\"");
    let text = refusal(sources(&[], &[], Some(path)));
    assert!(text.contains("\"reqest_deadline\", which is no setting") && text.contains("node.toml"), "{text}");
    let text = refusal(sources(&[], &[("STARLING_NODE_SHARD", "2")], None));
    assert!(text.contains("STARLING_NODE_SHARD") && text.contains("which is no setting"), "{text}");
}

#[test]
fn settings_that_cannot_stand_together_are_both_named() {
    let text = refusal(sources(&[("ping_interval", "900ms")], &[], None));
    assert!(text.starts_with("setting suspect_after and ping_interval"), "{text}");
}

#[test]
fn what_must_be_given_is_named_with_every_way_to_give_it() {
    let text = Sources::default().resolve().unwrap_err().to_string();
    assert!(text.contains("--bundle") && text.contains("STARLING_NODE_BUNDLE"), "{text}");
}

#[test]
fn a_file_that_is_not_one_is_refused() {
    let text = refusal(sources(&[], &[], Some("/nowhere/node.toml".into())));
    assert!(text.starts_with("configuration file /nowhere/node.toml"), "{text}");
    for content in ["shards = 1\nshards = 2", "shards = [1]", "shards = ", "[shards]"] {
        let (_directory, path) = file(content);
        let text = refusal(sources(&[], &[], Some(path)));
        assert!(text.starts_with("configuration file") || text.contains("shards"), "{text}");
    }
}

#[test]
fn the_effective_configuration_shows_every_value_with_its_source() {
    let effective = sources(&[("shards", "2")], &[], None).resolve().unwrap();
    let text = effective.to_string();
    assert!(text.lines().any(|line| line.starts_with("  shards = 2 ") && line.ends_with("(flag --shards)")), "{text}");
    assert_eq!(text.lines().count(), SETTINGS.len());
}

#[test]
fn flags_are_the_keys_with_dashes_and_no_name_stands_twice() {
    let mut keys: Vec<&str> = SETTINGS.iter().map(|setting| setting.key).collect();
    for setting in SETTINGS {
        assert_eq!(setting.flag, setting.key.replace('_', "-"));
    }
    keys.sort_unstable();
    keys.dedup();
    assert_eq!(keys.len(), SETTINGS.len());
}
