//! Every bound of the core that is not a setting, with its unit, its reason and what happens at it.
//!
//! A bound is checked before memory is taken. Bounds that operators may move stand in [`crate::config`].

/// Longest key. Unit: bytes. A longer one is refused before it is read. The length stands as a u16 in a row key.
pub const KEY_BYTES_MAX: usize = 65_535;

/// Largest value that a put may carry. Unit: bytes. A larger one is refused ("not applied").
pub const VALUE_BYTES_MAX: usize = 1024 * 1024;

/// Largest encoded row that is accepted from a peer or from disk. Unit: bytes. Far above what the other bounds allow.
pub const ROW_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Most actors in one field of a row; a row with more is refused. An actor lives for one lease, and the sessions that
/// [`SESSION_BYTES_PER_KEY_MAX`] allows are below a tenth of it: whatever sides of a split took stays readable.
pub const ACTORS_PER_FIELD_MAX: usize = 262_144;

/// Most items in one field of a row that merges by union. More is a malformed row.
pub const UNION_ITEMS_PER_FIELD_MAX: usize = 65_536;

/// Most fields in one row, known and unknown together. More is a malformed row.
pub const FIELDS_PER_ROW_MAX: usize = 256;

/// Largest frame between nodes or between a client and a node. Unit: bytes. A longer one closes the connection.
pub const FRAME_BYTES_MAX: usize = 32 * 1024 * 1024;

/// Deepest nesting that the message decoder follows.
pub const MESSAGE_DEPTH_MAX: usize = 32;

/// Most messages in one frame. The outbox starts another frame beyond it.
pub const MESSAGES_PER_FRAME_MAX: usize = 4096;

/// Inputs in one turn: beyond it the driver seals, so that a flood cannot delay the answers of the turn.
pub const INPUTS_PER_TURN_MAX: usize = 256;

/// Bytes written by one turn before the driver seals. Unit: bytes.
pub const TURN_BYTES_MAX: usize = 1024 * 1024;

/// Rows of one page of a scan, an exchange or a delivery.
pub const PAGE_ROWS_MAX: usize = 512;

/// Bytes of rows in one page. Unit: bytes. A page holds at least one row, whatever its size.
pub const PAGE_BYTES_MAX: usize = 256 * 1024;

/// Nodes of a tree whose sums one message names.
pub const TREE_NODES_MAX: usize = 256;

/// Partitions that a status names as in need of repair. The rest are only counted.
pub const REPAIRS_SHOWN_MAX: usize = 64;

/// Partitions that a status shows in detail as not settled. The rest are only counted.
pub const SETTLING_SHOWN_MAX: usize = 64;

/// Keys with a conflict that a status lists, the newest. The rest are only counted.
pub const CONFLICTS_LISTED_MAX: usize = 32;

/// Slots of the hash ring, as in Redis Cluster.
pub const SLOTS: u16 = 16_384;

/// Most members of a layout.
pub const MEMBERS_MAX: usize = 1024;

/// Layouts that a decided one remembers as its past. One that was away for longer is believed without proof.
pub const LINEAGE_MAX: usize = 4096;

/// Partitions that one shard takes over at once while the members change, and that one shard gives at once.
pub const TRANSFERS_MAX: usize = 2;

/// Partitions that are not through with a change, of a member, that are named. The rest are only counted.
pub const MOVES_SHOWN_MAX: usize = 64;

/// Peers that a member took rows from while the members change, or gave rows to, that are named; those with the most bytes.
pub const MOVE_PEERS_SHOWN_MAX: usize = 16;

/// Nodes that wait to be let join, as a member knows them. A further one is not listed.
pub const CANDIDATES_MAX: usize = 64;

/// Shards of a node that are asked how far a change is.
pub const SHARDS_MAX: usize = 64;

/// Most members that decide together on the next layout: a majority of nine stays reachable with four of them away.
pub const VOTERS_MAX: usize = 9;

/// Largest sum of the weights of a layout: each unit is 256 virtual nodes on the ring while placement is computed. A
/// larger sum is refused; smaller weights in the same proportion do the same.
pub const WEIGHT_SUM_MAX: u64 = 4096;

/// Weight (about the bytes) of the messages in one frame before the outbox starts another. Unit: bytes. A single
/// message may be heavier: a row is at most [`ROW_BYTES_MAX`].
pub const FRAME_WEIGHT_MAX: usize = 48 * 1024;

/// Longest deadline that a client may ask for; a longer one is shortened to it.
pub const DEADLINE_MAX: std::time::Duration = std::time::Duration::from_secs(60);

/// Elements that one command on a collection may name, and items that one may add to a sketch.
pub const ELEMENTS_PER_COMMAND_MAX: usize = 512;

/// Longest element of a collection. Unit: bytes. A longer one is refused.
pub const ELEMENT_BYTES_MAX: usize = 65_535;

/// Longest key of a row on disk: slot, hash, length, key, kind and element. Unit: bytes.
pub const ROW_KEY_BYTES_MAX: usize = 11 + KEY_BYTES_MAX + ELEMENT_BYTES_MAX;

/// What one command may carry and name, its key counted once for each element: rows travel with their keys. A larger one
/// is refused ("not applied"). Unit: bytes. A quarter of a frame: it is forwarded, and observed, with something around it.
pub const COMMAND_BYTES_MAX: usize = 8 * 1024 * 1024;

/// What one command may write into the rows of its key, their keys counted too. One that would write more is refused
/// before anything is minted. Unit: bytes. Half a frame: all of it travels in one message.
pub const WRITE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Side rows that a replica shows at a time, their keys counted too. A question for more is refused; pages are far
/// smaller. Unit: bytes. With the main row, which may have [`ROW_BYTES_MAX`], it is three quarters of a frame.
pub const SIDE_ROWS_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Elements of one key whose rows an inspection looks at. What lies behind them is left out, and the view says so.
pub const INSPECTED_ELEMENTS_MAX: usize = 262_144;

/// Side rows that all answers of a shard hold while they are being read. Beyond it one that grows is refused as busy. Unit:
/// bytes.
pub const GATHERED_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Largest answer to a client. One that is larger is answered with an error that says so. Unit: bytes.
pub const ANSWER_BYTES_MAX: usize = FRAME_BYTES_MAX - 1024 * 1024;

/// Bytes of the session rows of one key, their keys counted too; above it a new session's first write is refused. Unit:
/// bytes. An eighth of [`SIDE_ROWS_BYTES_MAX`]: a reset doubles what these rows hold, and each side of a split takes
/// sessions of its own.
pub const SESSION_BYTES_PER_KEY_MAX: u64 = 1024 * 1024;

/// Longest context or token that a client may send back. Unit: bytes.
pub const CONTEXT_BYTES_MAX: usize = 2 * 1024 * 1024;

/// Values that a put may leave side by side under one key. A put that would leave more is refused; a merge keeps all.
pub const SIBLINGS_MAX: usize = 64;

/// Bytes of the values that a put may leave side by side: a few sides of a split fit into one row. A put that would leave
/// more is refused. Unit: bytes.
pub const SIBLING_BYTES_MAX: usize = 4 * 1024 * 1024;

/// What a session's token may say, about thousands of keys. Unit: bytes. Beyond it the key that was used longest ago goes,
/// and nothing is promised of it any longer.
pub const TOKEN_BYTES_MAX: usize = 128 * 1024;
