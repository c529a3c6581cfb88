//! `docs/cli.md` has what `--help` prints, for every command. `INKLE_BLESS=1` writes it anew.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;

const START: &str = "```\n$ inkle ";
const END: &str = "\n```\n";

fn page() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/cli.md")
}

/// What a command line prints; no terminal is near.
fn printed(line: &str) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_inkle")).args(line.split_whitespace()).env_remove("COLUMNS").output().unwrap();
    assert!(output.status.success(), "{line}");
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(|line| line.trim_end()).collect::<Vec<_>>().join("\n")
}

/// The page with each block as it should be, and the command lines of the blocks.
fn renewed(page: &str) -> (String, BTreeSet<String>) {
    let (mut out, mut lines) = (String::new(), BTreeSet::new());
    let mut rest = page;
    while let Some(at) = rest.find(START) {
        let (before, block) = rest.split_at(at);
        let end = block.find(END).expect("a block without an end");
        let line = block[START.len()..end].lines().next().unwrap_or_default().to_string();
        out += &format!("{before}{START}{line}\n{}{END}", printed(&line));
        lines.insert(line);
        rest = &block[end + END.len()..];
    }
    (out + rest, lines)
}

/// The names under `Commands:` in a help text.
fn commands(help: &str) -> Vec<String> {
    let list = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    // longer descriptions go on in further columns
    let names = list.filter_map(|line| line.strip_prefix("  ")?.split(' ').next().filter(|name| !name.is_empty()));
    names.filter(|name| *name != "help").map(String::from).collect()
}

#[test]
fn the_page_says_what_the_command_says() {
    let old = std::fs::read_to_string(page()).unwrap();
    let (new, lines) = renewed(&old);
    if std::env::var_os("INKLE_BLESS").is_some() {
        std::fs::write(page(), &new).unwrap();
    } else {
        assert!(old == new, "docs/cli.md is stale; INKLE_BLESS=1 cargo test -p inkle --test page writes it anew:\n{new}");
    }
    let missing = |line: &str| -> Vec<String> {
        commands(&printed(&format!("{line} --help")))
            .into_iter()
            .map(|name| format!("{line} {name} --help").trim().to_string())
            .filter(|line| !lines.contains(line))
            .collect()
    };
    for line in ["", "bench", "cache", "target"] {
        assert_eq!(missing(line), Vec::<String>::new(), "docs/cli.md lacks commands");
    }
}
