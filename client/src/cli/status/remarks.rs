//! What needs a sentence: silent peers, faults, alarms, repairs.

use std::collections::BTreeSet;

use starling::ids::NodeId;
use starling::message::client::NodeStatus;
use starling_client::{Client, Error};

use super::super::{conflicts, everyone, fault, output};
use super::settling;

/// What needs a sentence: silent peers, faults, alarms.
pub(super) fn of(client: &Client, node: NodeId, status: &Result<NodeStatus, Error>) -> Vec<String> {
    let name = client.name_of(node);
    let status = match status {
        Ok(status) => status,
        Err(error) => return vec![format!("{name} is unreachable: {}", everyone::reason(error))],
    };
    let mut remarks = Vec::new();
    let silent = status.shards.peers.iter().filter(|peer| !peer.is_reachable);
    let silent = silent.map(|peer| match peer.heard_ms_ago {
        Some(ms) => format!("{} (answered {} ago)", client.name_of(peer.node), output::micros(ms.saturating_mul(1000))),
        None => format!("{} (never answered)", client.name_of(peer.node)),
    });
    let silent = silent.collect::<Vec<_>>();
    if !silent.is_empty() {
        remarks.push(format!("{name} does not see {}", silent.join(", ")));
    }
    if !status.faults.links.is_empty() {
        remarks.push(format!("{name}: injected faults: {}", fault::describe(client, &status.faults)));
    }
    if status.layout != client.ring().epoch() {
        remarks.push(format!(
            "{name} acts by layout {}, the newest that was heard of is {}",
            layout_text(status.layout),
            layout_text(client.ring().epoch()),
        ));
    }
    if let Some(rival) = status.shards.rival_layout {
        remarks.push(format!(
            "{name}: ALARM: two layouts of one number are about: its own {} and {} of {}; nothing is decided any more. Wipe the \
             nodes of one side, and let them join anew",
            layout_text(rival.own),
            layout_text(rival.other),
            client.name_of(rival.from),
        ));
    }
    if status.shards.is_move_paused {
        remarks.push(format!("{name}: moving data is halted by an operator: `starling cluster resume` lets it go on"));
    }
    let candidates =
        status.shards.candidates.iter().map(|candidate| format!("{} ({})", candidate.name, candidate.address));
    let candidates = candidates.collect::<Vec<_>>();
    if !candidates.is_empty() {
        remarks.push(format!("{name}: waits to be let join: {} (`starling cluster join`)", candidates.join(", ")));
    }
    if status.is_below_reserve {
        remarks.push(format!(
            "{name}: the disk is below its reserve ({} MiB free): writes are refused",
            status.disk_free_bytes >> 20
        ));
    }
    if status.shards.amnesia_alarms > 0 {
        remarks.push(format!(
            "{name}: {} since its start: it met what it once did and does not remember, so its directory is an earlier copy, \
             or its disk lost what was synced; the log says what was taken over anew",
            output::count(status.shards.amnesia_alarms, "amnesia alarm")
        ));
    }
    remarks.extend(conflicts::remark(&name, status));
    if let Some(rival) = &status.shards.rival {
        remarks.push(format!(
            "{name}: ALARM: another live process claims to be {name} too (this one is start {}, the other {rival}): both refuse \
             writes; end the one that runs on a copy",
            status.epoch
        ));
    }
    let contested = status.shards.peers.iter().filter(|peer| peer.is_contested);
    let contested = contested.map(|peer| client.name_of(peer.node)).collect::<Vec<_>>();
    if !contested.is_empty() {
        remarks.push(format!("{name}: ALARM: it hears two live processes that claim to be {}", contested.join(", ")));
    }
    if status.shards.claim_alarms > 0 {
        let alarms = output::count(status.shards.claim_alarms, "alarm");
        remarks.push(format!("{name}: {alarms} since its start about two processes of one member"));
    }
    remarks.extend(needs_repair(client, &name, status));
    remarks.extend(read_repairs(&name, status));
    remarks.extend(settling::sentences(client, &name, status));
    if status.shards.clock_ahead_ms.abs() >= 1000 {
        remarks.push(format!("{name}: its clock differs by {} ms from its peers'", status.shards.clock_ahead_ms));
    }
    remarks
}

/// What reads found to be missing at owners, once there is something.
fn read_repairs(name: &str, status: &NodeStatus) -> Option<String> {
    let repairs = status.shards.read_repairs;
    let left_out = match repairs.left_out {
        0 => String::new(),
        owners => format!(" ({} left to the exchange)", output::count(owners, "owner")),
    };
    let not_taken = match repairs.not_taken {
        0 => String::new(),
        times => format!("; {} a later read found them still lacking it", output::count(times, "time")),
    };
    (repairs.missing + repairs.outdated + repairs.left_out > 0).then(|| {
        format!(
            "{name}: its reads since the start sent owners {} that they lacked and {} of which they lacked a part\
             {not_taken}{left_out}",
            output::count(repairs.missing, "row"),
            output::count(repairs.outdated, "row"),
        )
    })
}

/// Partitions of which somebody may lack what is not owed.
fn needs_repair(client: &Client, name: &str, status: &NodeStatus) -> Option<String> {
    let owners: BTreeSet<NodeId> = status.shards.needs_repair.iter().flat_map(|one| &one.owners).copied().collect();
    let owners = owners.into_iter().map(|owner| client.name_of(owner)).collect::<Vec<_>>().join(", ");
    let number = status.shards.needs_repair_partitions;
    (number > 0).then(|| {
        format!(
            "{name}: {} in need of repair: more was owed to {owners} than there is room for; an exchange closes it and takes this \
             mark away",
            output::count(number.into(), "partition"),
        )
    })
}

fn layout_text(epoch: starling::membership::LayoutEpoch) -> String {
    format!("{}/{:016x}", epoch.number, epoch.content)
}
