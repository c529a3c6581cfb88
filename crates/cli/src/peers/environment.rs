//! The Python that the peers run in: a virtual environment of its own, made when it is first needed.

use crate::args::Peer;
use crate::failure::Failure;
use crate::machine;
use ir::Code;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// What drives the peers; it says itself how.
pub const DRIVER: &str = include_str!("../../../../scripts/peers.py");

/// The interpreter of an environment that has what these peers need.
pub fn python(peers: &[Peer]) -> Result<PathBuf, Failure> {
    let fault = |why: String| Failure::user(Code::Input, format!("the peers can't be installed: {why}"));
    let caches = machine::cache_folder().ok_or_else(|| fault("neither XDG_CACHE_HOME nor HOME says where".to_string()))?;
    let folder = caches.with_file_name("inkle-peers");
    let mut command = Command::new("python3");
    command.args(["-I", "-c", DRIVER, "install"]).arg(&folder).args(peers.iter().map(|peer| peer.name()));
    let status = command.stdin(Stdio::null()).stdout(Stdio::null()).status().map_err(|why| fault(format!("python3: {why}")))?;
    if status.success() { Ok(folder.join("bin/python")) } else { Err(fault("standard error says why".to_string())) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peers::process::Process;
    use clap::ValueEnum;

    /// `-S` leaves out what is installed.
    #[test]
    fn a_peer_that_is_not_there_says_so() {
        let folder = tempfile::tempdir().unwrap();
        for peer in Peer::value_variants() {
            let mut command = Command::new("python3");
            command.args(["-I", "-S", "-c", DRIVER, "serve", peer.name(), "model.onnx", "--threads", "1", "--folder"]);
            let error = Process::start(command.arg(folder.path())).err().unwrap();
            assert!(error["error"].as_str().unwrap().starts_with("not installed: "), "{error}");
        }
    }
}
