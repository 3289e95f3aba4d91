//! `starling-node issue-member`: the bundle of a member that is to join a cluster that runs.
//!
//! ```text
//! shop/ca.key  ca.pem  issued.toml  members/a/ …     ──→   issued.toml (one id more)   members/f/
//! ```
//!
//! Run where the authority's key is kept; no node is asked. Ids are never given twice: each is written down in
//! `issued.toml`, durably, before the bundle that uses it is made. The new bundle names the members of the newest layout
//! that lies in the directory: of these at least one must still be there when the node starts.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use starling::ids::NodeId;
use starling::membership::principal::Role;
use starling::membership::{Layout, Member, bundle};

use crate::founding::{self, FoundingError};
use crate::transport::certificates::ClusterCa;

/// Which ids were given, and to whom; beside the authority's key.
pub const ISSUED_FILE: &str = "issued.toml";

/// What the bundle of a member says of it until a layout does.
pub const MEMBER_FILE: &str = "member.toml";

/// What `issue-member` was asked for.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The directory that init-cluster made.
    pub authority: PathBuf,
    /// What the member is to be called.
    pub name: String,
    /// `host:port`.
    pub address: String,
    /// Its share of the data.
    pub weight: u32,
    /// Empty: a zone of its own.
    pub zone: String,
}

/// A bundle that was not made. At most an id is used up.
#[derive(Debug, thiserror::Error)]
pub enum IssuingError {
    /// What making bundles says.
    #[error(transparent)]
    Making(#[from] FoundingError),
    /// A file of the cluster's directory.
    #[error("cannot read {}: {reason}; --ca names the directory that init-cluster made, with ca.key in it", .path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// No member's bundle lies there, or none with the key that seals contexts.
    #[error(
        "{} holds no {what}; copy one from a running member's bundle into {}",
        .directory.display(), .directory.join("members/ANY").display()
    )]
    Missing {
        /// Where.
        directory: PathBuf,
        /// Which file.
        what: &'static str,
    },
    /// Never overwritten: a member may run with it.
    #[error("a member {name} was issued already, in {}; choose another name", .bundle.display())]
    NameTaken {
        /// What was asked for.
        name: String,
        /// Its bundle.
        bundle: PathBuf,
    },
    /// Another run of this command, or one that was cut short.
    #[error("{} is there: another issue-member is under way; if none is, remove it", .0.display())]
    UnderWay(PathBuf),
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Issued {
    /// In the order in which they were issued.
    #[serde(default)]
    issued: Vec<Line>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Line {
    id: NodeId,
    name: String,
    address: String,
}

impl Issued {
    /// The members of these layouts.
    fn of(layouts: &[Layout]) -> Issued {
        let members = layouts.iter().flat_map(|layout| &layout.members);
        let line = |it: &Member| (it.id, Line { id: it.id, name: it.name.clone(), address: it.address.clone() });
        Issued { issued: members.map(line).collect::<BTreeMap<_, _>>().into_values().collect() }
    }
}

const HEADER: &str = "\
# Members that were issued for this cluster. Their ids are never given again: keep this file beside ca.key.
";

/// Makes the bundle of a new member, and returns the member.
pub fn issue(plan: &Plan) -> Result<Member, IssuingError> {
    founding::check_name("member", &plan.name)?;
    founding::check_address(&plan.name, &plan.address)?;
    let target = plan.authority.join("members").join(&plan.name);
    if target.symlink_metadata().is_ok() {
        return Err(IssuingError::NameTaken { name: plan.name.clone(), bundle: target });
    }
    let (layout, earlier, seal_key) = cluster_of(&plan.authority)?;
    let authority = ClusterCa {
        cluster: layout.cluster,
        cert_pem: read(&plan.authority.join(bundle::CA_FILE))?,
        key_pem: read(&plan.authority.join("ca.key"))?,
    };
    let id = next_id(plan, &earlier)?;
    let (weight, zone) = (plan.weight, plan.zone.clone());
    let member = Member { weight, zone, ..Member::new(id, &plan.name, &plan.address) };
    let (layout_toml, member_toml) =
        (toml::to_string_pretty(&layout).map_err(FoundingError::from)?, toml::to_string_pretty(&member));
    let member_toml = member_toml.map_err(FoundingError::from)?;
    founding::make_whole(&target, |unfinished| {
        founding::write_bundle(unfinished, &layout_toml, &authority, Role::Node(id))?;
        founding::write_new(&unfinished.join(bundle::SEAL_KEY_FILE), &seal_key, 0o600)?;
        founding::write_new(&unfinished.join(MEMBER_FILE), &member_toml, 0o644)
    })?;
    Ok(member)
}

/// What to do next, for the terminal.
pub fn next_steps(plan: &Plan, member: &Member) -> String {
    let (directory, name) = (plan.authority.display(), &member.name);
    let mut text = format!("Issued member {name} ({}), in {directory}/members/{name}/\n\n", member.id);
    let _infallible = write!(
        text,
        "On its machine (copy that directory there first, and only it):\n  starling-node run --bundle \
         {directory}/members/{name} --data data/{name}    # {}\n\nThen, from anywhere, while it runs:\n  starling --bundle \
         {directory}/admin cluster join {name}        stage it\n  starling --bundle {directory}/admin cluster commit\n  \
         starling --bundle {directory}/admin cluster progress --watch\n",
        member.address,
    );
    text
}

/// The newest layout that lies there, all of them, and the key that all members share.
fn cluster_of(directory: &Path) -> Result<(Layout, Vec<Layout>, String), IssuingError> {
    let missing = |what| IssuingError::Missing { directory: directory.to_owned(), what };
    let unreadable =
        |path: PathBuf, error: std::io::Error| IssuingError::Unreadable { path, reason: error.to_string() };
    let members = directory.join("members");
    let mut bundles = vec![directory.join("admin"), directory.join("client")];
    for entry in fs::read_dir(&members).map_err(|error| unreadable(members.clone(), error))? {
        bundles.push(entry.map_err(|error| unreadable(members.clone(), error))?.path());
    }
    bundles.sort();
    let layouts = bundles.iter().filter_map(|bundle| {
        let text = fs::read_to_string(bundle.join(bundle::LAYOUT_FILE)).ok()?;
        toml::from_str::<Layout>(&text).ok().filter(|layout| layout.validate().is_ok())
    });
    let layouts: Vec<Layout> = layouts.collect();
    let newest = layouts.iter().max_by_key(|layout| layout.epoch.number).cloned();
    let layout = newest.ok_or_else(|| missing(bundle::LAYOUT_FILE))?;
    let seal_key = bundles.iter().find_map(|bundle| fs::read_to_string(bundle.join(bundle::SEAL_KEY_FILE)).ok());
    Ok((layout, layouts, seal_key.ok_or_else(|| missing(bundle::SEAL_KEY_FILE))?))
}

/// Takes an id that no member has, had, or was issued, and writes it down.
fn next_id(plan: &Plan, layouts: &[Layout]) -> Result<NodeId, IssuingError> {
    let path = plan.authority.join(ISSUED_FILE);
    let next = plan.authority.join(format!("{ISSUED_FILE}.new"));
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| IssuingError::Making(FoundingError::Write { path, source })
    };
    // Nobody else reads or writes the file while this one is there.
    let mut file =
        fs::OpenOptions::new().write(true).create_new(true).open(&next).map_err(|source| match source.kind() {
            std::io::ErrorKind::AlreadyExists => IssuingError::UnderWay(next.clone()),
            _ => failed(&next)(source),
        })?;
    let taken = (|| {
        let mut issued = match path.exists() {
            true => toml::from_str::<Issued>(&read(&path)?)
                .map_err(|error| IssuingError::Unreadable { path: path.clone(), reason: error.to_string() })?,
            // The founders may leave, and their layouts be replaced by newer ones, before the next is issued.
            false => Issued::of(layouts),
        };
        let known = issued.issued.iter().map(|line| line.id);
        let members = |layout: &Layout| layout.members.iter().map(|member| member.id).collect::<Vec<_>>();
        let known = known.chain(layouts.iter().flat_map(members));
        let fenced = |layout: &Layout| layout.fenced.iter().map(|fenced| fenced.node).collect::<Vec<_>>();
        let known = known.chain(layouts.iter().flat_map(fenced));
        let id = NodeId(known.map(|id| id.0).max().unwrap_or(0).saturating_add(1));
        issued.issued.push(Line { id, name: plan.name.clone(), address: plan.address.clone() });
        let text = HEADER.to_owned() + &toml::to_string(&issued).map_err(FoundingError::from)?;
        file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(failed(&next))?;
        fs::rename(&next, &path).map_err(failed(&path))?;
        let directory = fs::File::open(&plan.authority).and_then(|directory| directory.sync_all());
        directory.map_err(failed(&plan.authority))?;
        Ok(id)
    })();
    if taken.is_err() {
        // The first error says what is wrong; a later run would say that this file is there.
        let _removed = fs::remove_file(&next).is_ok();
    }
    taken
}

fn read(path: &Path) -> Result<String, IssuingError> {
    fs::read_to_string(path)
        .map_err(|error| IssuingError::Unreadable { path: path.to_owned(), reason: error.to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bundle::Bundle;

    fn founded(place: &Path) -> PathBuf {
        let member = |name: &str, port: u16| (name.to_owned(), format!("127.0.0.1:{port}"));
        let members = vec![member("a", 1), member("b", 2)];
        let plan = founding::Plan { name: "shop".into(), directory: place.join("shop"), members, ..Default::default() };
        founding::found(&plan).unwrap();
        plan.directory
    }

    fn plan(directory: &Path, name: &str) -> Plan {
        let address = format!("127.0.0.1:{}", 100 + name.len());
        Plan { authority: directory.to_owned(), name: name.into(), address, weight: 2, zone: "east".into() }
    }

    #[test]
    fn an_issued_member_is_a_candidate_of_its_cluster() {
        let place = tempfile::tempdir().unwrap();
        let directory = founded(place.path());
        let member = issue(&plan(&directory, "c")).unwrap();
        assert_eq!((member.id, member.weight, member.zone.as_str()), (NodeId(3), 2, "east"));
        let bundle = Bundle::load(&directory.join("members/c")).unwrap();
        assert_eq!((bundle.node, bundle.candidate), (NodeId(3), Some(member)));
        let of_a = Bundle::load(&directory.join("members/a")).unwrap();
        assert!(of_a.candidate.is_none() && of_a.seal_key == bundle.seal_key);
    }

    #[test]
    fn an_id_is_never_given_twice() {
        let place = tempfile::tempdir().unwrap();
        let directory = founded(place.path());
        assert_eq!(issue(&plan(&directory, "c")).unwrap().id, NodeId(3));
        fs::remove_dir_all(directory.join("members/c")).unwrap();
        assert_eq!(issue(&plan(&directory, "c")).unwrap().id, NodeId(4));
        let again = issue(&plan(&directory, "c")).unwrap_err();
        assert!(matches!(again, IssuingError::NameTaken { .. }), "{again}");
        assert_eq!(issue(&plan(&directory, "d")).unwrap().id, NodeId(5));
        let issued: Issued = toml::from_str(&fs::read_to_string(directory.join(ISSUED_FILE)).unwrap()).unwrap();
        let ids: Vec<u64> = issued.issued.iter().map(|line| line.id.0).collect();
        assert_eq!(ids, [1, 2, 3, 4, 5], "the founders', too, which may be in no layout any more");
    }

    #[test]
    fn what_lacks_is_named_and_an_interrupted_run_too() {
        let place = tempfile::tempdir().unwrap();
        let directory = founded(place.path());
        fs::write(directory.join("issued.toml.new"), "").unwrap();
        assert!(matches!(issue(&plan(&directory, "c")), Err(IssuingError::UnderWay(_))));
        fs::remove_file(directory.join("issued.toml.new")).unwrap();
        for member in ["a", "b"] {
            fs::remove_file(directory.join("members").join(member).join("seal.key")).unwrap();
        }
        assert!(matches!(issue(&plan(&directory, "c")), Err(IssuingError::Missing { what: "seal.key", .. })));
        fs::remove_file(directory.join("ca.key")).unwrap();
        fs::write(directory.join("members/a/seal.key"), "00").unwrap();
        assert!(matches!(issue(&plan(&directory, "c")), Err(IssuingError::Unreadable { .. })));
        assert!(matches!(issue(&plan(&directory, "no name")), Err(IssuingError::Making(FoundingError::Name { .. }))));
    }
}
