//! The file of a kept session: names, totals per key, events under way.
//!
//! It says where it was written: the boot of the machine, and the lock file beside it. A copy of the directory has other
//! lock files, so nobody can use an event number twice by copying; nor by putting an older copy back in their place. What
//! is not caught: a machine whose memory was restored, and a session's file alone that was put back within one boot.

use std::fs::File;
use std::os::unix::fs::MetadataExt;

use serde::{Deserialize, Serialize};
use starling::causality::ActorId;
use starling::ids::{Key, NodeId};
use starling::message::client::{Options, SessionWrite};
use starling::time::WallTime;

use super::Terms;
use super::clock::ClusterClock;
use super::lease::Lease;
use super::names::{Kept, Named, Totals};
use crate::hex;

/// Version of the file.
const VERSION: u32 = 1;

/// Where a session is kept: this boot of this machine, and this very lock file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Home {
    /// Empty where the system does not tell.
    boot: String,
    /// Device, inode, and when the inode last changed: another one in every copy, and in one that was written over it.
    lock: String,
}

impl Home {
    /// Of a slot whose lock is held.
    pub(super) fn of(lock: &File) -> std::io::Result<Home> {
        let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id");
        let boot = boot.map(|id| id.trim().to_owned()).unwrap_or_default();
        let lock = lock.metadata()?;
        let lock = format!("{}:{}:{}.{:09}", lock.dev(), lock.ino(), lock.ctime(), lock.ctime_nsec());
        Ok(Home { boot, lock })
    }

    /// Whether the file was written here.
    fn is_that_of(&self, form: &Form) -> bool {
        !self.boot.is_empty() && self.boot == form.boot && self.lock == form.lock
    }
}

/// The file. Numbers that may exceed 64 bits, and bytes, stand in it as text.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Form {
    version: u32,
    cluster: String,
    boot: String,
    lock: String,
    /// The cluster's clock minus that of this machine.
    clock_ahead_us: i64,
    names: Vec<NameForm>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct NameForm {
    actor: String,
    fresh_until_us: u64,
    ends_us: u64,
    is_current: bool,
    keys: Vec<KeyForm>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyForm {
    key: String,
    event: u64,
    p: String,
    n: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    under_way: Option<EventForm>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct EventForm {
    event: u64,
    p: String,
    n: String,
    w: Option<u8>,
    strict: bool,
}

impl Form {
    /// The bytes of a file.
    pub(super) fn write(cluster: &str, home: &Home, clock_ahead_us: i64, kept: &[Kept<Terms>]) -> Vec<u8> {
        let Home { boot, lock } = home.clone();
        let names = kept.iter().map(NameForm::of).collect();
        let form = Form { version: VERSION, cluster: cluster.to_owned(), boot, lock, clock_ahead_us, names };
        // Strings and numbers alone: it cannot fail.
        serde_json::to_vec_pretty(&form).unwrap_or_default()
    }

    /// Reads a file of this cluster. Unless it was written in the same place, nothing new may be added under its names.
    pub(super) fn read(
        bytes: &[u8],
        cluster: &str,
        home: &Home,
        pinned: Option<NodeId>,
    ) -> Result<(ClusterClock, Vec<Kept<Terms>>), String> {
        let form: Form = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        if form.version != VERSION {
            return Err(format!("it has version {}, this program writes {VERSION}", form.version));
        }
        if form.cluster != cluster {
            return Err(format!("it belongs to cluster {}", form.cluster));
        }
        let is_here = home.is_that_of(&form);
        let names = form.names.into_iter().map(|name| name.kept(is_here, pinned)).collect::<Result<_, _>>()?;
        Ok((ClusterClock::from_ahead(form.clock_ahead_us), names))
    }
}

impl NameForm {
    fn of(kept: &Kept<Terms>) -> NameForm {
        let key_form = |(key, totals): (&Key, &Totals)| {
            let under_way = kept.under_way.iter().find(|(of, _, _)| of == key);
            KeyForm {
                key: hex::encode(key.as_bytes()),
                event: totals.event,
                p: totals.p.to_string(),
                n: totals.n.to_string(),
                under_way: under_way.map(|(_, write, terms)| EventForm {
                    event: write.event,
                    p: write.p.to_string(),
                    n: write.n.to_string(),
                    w: terms.options.w,
                    strict: terms.options.strict,
                }),
            }
        };
        let lease = kept.named.lease;
        NameForm {
            actor: hex::encode(&lease.actor.to_bytes()),
            fresh_until_us: lease.fresh_until.0,
            ends_us: lease.ends.0,
            is_current: kept.is_current,
            keys: kept.named.keys().map(key_form).collect(),
        }
    }

    fn kept(self, is_here: bool, pinned: Option<NodeId>) -> Result<Kept<Terms>, String> {
        let actor = bytes_of(&self.actor)?;
        let actor = <[u8; ActorId::BYTES]>::try_from(actor).map_err(|_| "an actor has 16 bytes".to_owned())?;
        let actor = ActorId::from_bytes(actor);
        if !actor.is_session() {
            return Err("an actor in it is not a session's".into());
        }
        let lease = Lease { actor, fresh_until: WallTime(self.fresh_until_us), ends: WallTime(self.ends_us) };
        let mut kept = Kept { named: Named::new(lease), is_current: self.is_current && is_here, under_way: Vec::new() };
        for form in self.keys {
            let key = Key::new(bytes_of(&form.key)?).map_err(|error| error.to_string())?;
            if kept.named.knows(&key) {
                return Err("a key stands in it twice".into());
            }
            let totals = Totals { event: form.event, p: number(&form.p)?, n: number(&form.n)? };
            if let Some(event) = form.under_way {
                let write = SessionWrite { actor, event: event.event, p: number(&event.p)?, n: number(&event.n)? };
                if write.event != totals.event || write.p < totals.p || write.n < totals.n {
                    return Err("an event does not fit the totals before it".into());
                }
                let options = Options { w: event.w, strict: event.strict, ..Options::default() };
                kept.under_way.push((key.clone(), write, Terms { pinned, options }));
            }
            *kept.named.totals_mut(&key) = totals;
        }
        Ok(kept)
    }
}

fn number(text: &str) -> Result<u128, String> {
    text.parse().map_err(|_| format!("{text:?} is no number"))
}

fn bytes_of(text: &str) -> Result<Vec<u8>, String> {
    hex::decode(text).ok_or_else(|| format!("{:?} is not hexadecimal", text.chars().take(40).collect::<String>()))
}

#[cfg(test)]
#[path = "form_tests.rs"]
mod tests;
