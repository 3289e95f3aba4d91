//! The `starling-node` program: `run` a member of a cluster, or `init-cluster` to make one.

fn main() {}
