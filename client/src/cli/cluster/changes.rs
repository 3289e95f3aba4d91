//! Changes as they are named on the command line.

use clap::Args;
use starling::ids::NodeId;
use starling::membership::{Change, Layout, Member};

use crate::cli::exit::Failure;

/// What is to be changed.
#[derive(Debug, Default, Args)]
pub(crate) struct Changes {
    /// A new member: its name, zone and weight
    #[arg(long, value_name = "NAME[:ZONE[:WEIGHT]]")]
    pub(super) join: Vec<String>,
    /// This member goes, after it has handed over
    #[arg(long, value_name = "NAME")]
    pub(super) leave: Vec<String>,
    /// Another share of the data; 0 drains the member
    #[arg(long, value_name = "NAME=WEIGHT")]
    pub(super) weight: Vec<String>,
    /// Another zone; nothing after the = is a zone of its own
    #[arg(long, value_name = "NAME=ZONE")]
    pub(super) zone: Vec<String>,
    /// A new member takes the place of another one
    #[arg(long, value_name = "OLD=NEW")]
    pub(super) replace: Vec<String>,
    /// This member is dead for ever: what only it had is given up
    #[arg(long, value_name = "NAME")]
    pub(super) fence: Vec<String>,
    /// Every member of this zone is dead for ever
    #[arg(long, value_name = "ZONE")]
    pub(super) zone_lost: Vec<String>,
}

/// Where new members come from.
pub(super) enum Newcomers {
    /// Those that wait to be let join.
    Waiting(Vec<Member>),
    /// Nobody is there yet: the next free ids, for a preview.
    Invented {
        /// The next one.
        next: u64,
    },
}

impl Changes {
    /// Whether none is named.
    pub(super) fn is_empty(&self) -> bool {
        let Changes { join, leave, weight, zone, replace, fence, zone_lost } = self;
        [join, leave, weight, zone, replace, fence, zone_lost].into_iter().all(Vec::is_empty)
    }

    /// Whether one declares members lost.
    pub(super) fn declares_lost(&self) -> bool {
        !self.fence.is_empty() || !self.zone_lost.is_empty()
    }

    /// As the nodes understand them.
    pub(super) fn read(&self, layout: &Layout, newcomers: &mut Newcomers) -> Result<Vec<Change>, Failure> {
        let mut changes = Vec::new();
        for text in &self.join {
            changes.push(Change::Join(newcomers.join(text)?));
        }
        for name in &self.leave {
            changes.push(Change::Leave(id_of(layout, name)?));
        }
        for text in &self.weight {
            let (name, weight) = pair("--weight", text, "2")?;
            changes.push(Change::Weight { node: id_of(layout, name)?, weight: weight_of(weight)? });
        }
        for text in &self.zone {
            let (name, zone) = pair("--zone", text, "berlin")?;
            changes.push(Change::Zone { node: id_of(layout, name)?, zone: zone.to_owned() });
        }
        for text in &self.replace {
            let (old, new) = pair("--replace", text, "b")?;
            let old = id_of(layout, old)?;
            changes.push(Change::Replace { old, new: newcomers.named(new)?, is_dead: false });
        }
        for name in &self.fence {
            changes.push(Change::Fence(id_of(layout, name)?));
        }
        changes.extend(self.zone_lost.iter().cloned().map(Change::ZoneLost));
        match changes.is_empty() {
            true => Err(Failure::Usage("what is to change? Name it with --join, --leave, --weight, …".into())),
            false => Ok(changes),
        }
    }
}

impl Newcomers {
    /// Ids that no member of this layout has.
    pub(super) fn invented(layout: &Layout) -> Newcomers {
        let members = layout.members.iter().map(|member| member.id.0);
        let known = members.chain(layout.fenced.iter().map(|fenced| fenced.node.0));
        Newcomers::Invented { next: known.max().unwrap_or(0).saturating_add(1) }
    }

    /// `NAME[:ZONE[:WEIGHT]]`.
    fn join(&mut self, text: &str) -> Result<Member, Failure> {
        let mut parts = text.splitn(3, ':');
        let mut member = self.named(parts.next().unwrap_or_default())?;
        if let Some(zone) = parts.next() {
            member.zone = zone.to_owned();
        }
        if let Some(weight) = parts.next() {
            member.weight = weight_of(weight)?;
        }
        Ok(member)
    }

    /// The one that is called so.
    pub(super) fn named(&mut self, name: &str) -> Result<Member, Failure> {
        match self {
            Newcomers::Waiting(waiting) => waiting.iter().find(|member| member.name == name).cloned().ok_or_else(|| {
                let known: Vec<&str> = waiting.iter().map(|member| member.name.as_str()).collect();
                let known = if known.is_empty() { "none does".to_owned() } else { format!("there are {}", known.join(", ")) };
                Failure::Usage(format!(
                    "no node called {name:?} waits to be let join ({known}); make its bundle with `starling-node issue-member`, \
                     start it, and look at `starling cluster candidates`; nothing was staged"
                ))
            }),
            // Where it will be found does not matter for a preview, only that nobody else is there.
            Newcomers::Invented { next } => {
                let id = NodeId(*next);
                *next = next.saturating_add(1);
                Ok(Member::new(id, name, format!("{id}.invalid:1")))
            }
        }
    }
}

/// The member that people call so.
pub(super) fn id_of(layout: &Layout, name: &str) -> Result<NodeId, Failure> {
    layout.member_named(name).map(|member| member.id).ok_or_else(|| {
        let names: Vec<&str> = layout.members.iter().map(|member| member.name.as_str()).collect();
        Failure::Usage(format!("there is no member {name:?}; there are {}", names.join(", ")))
    })
}

/// `NAME=WHAT`; `example` is one of the latter.
pub(super) fn pair<'a>(option: &str, text: &'a str, example: &str) -> Result<(&'a str, &'a str), Failure> {
    let lacks = || Failure::Usage(format!("{option} {text:?} lacks a =, as in {option} a={example}"));
    text.split_once('=').ok_or_else(lacks)
}

/// A whole number.
pub(super) fn weight_of(text: &str) -> Result<u32, Failure> {
    text.parse().map_err(|_| Failure::Usage(format!("{text:?} is no weight: a whole number from 0")))
}

/// A refusal names members by their ids; people know them by their names.
pub(super) fn with_names(text: &str, layout: &Layout) -> String {
    let name = |word: &str| layout.members.iter().find(|member| member.id.to_string() == word).map(|m| m.name.clone());
    text.split(' ').map(|word| name(word).unwrap_or_else(|| word.to_owned())).collect::<Vec<_>>().join(" ")
}
