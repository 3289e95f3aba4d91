//! Where the `starling-node` program is.

use std::path::{Path, PathBuf};

use super::DrillError;

/// The named program, or the `starling-node` beside the running one: both are built into the same directory.
pub fn node_binary(named: Option<&Path>) -> Result<PathBuf, DrillError> {
    let found = match named {
        Some(path) => path.to_owned(),
        None => {
            let own = std::env::current_exe()
                .map_err(|cause| DrillError::Io { path: PathBuf::from("the running program"), cause })?;
            own.with_file_name("starling-node")
        }
    };
    if found.is_file() { Ok(found) } else { Err(DrillError::NoBinary(found)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_program_is_told_with_its_place_and_what_to_do() {
        let error = node_binary(Some(Path::new("/nowhere/starling-node"))).unwrap_err().to_string();
        assert!(error.contains("/nowhere/starling-node") && error.contains("make build"), "{error}");
    }
}
