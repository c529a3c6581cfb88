//! `cargo xtask size`: lines of Rust by room, and how long functions are.
//!
//! A line counts where it holds code: blank lines, comments, and everything under `#[cfg(test)]` or in `tests/`, `benches/` and
//! `examples/` do not. A function is as long as the lines from its signature to its closing brace, all of them.

mod count;

use anyhow::{Context, Result};
use count::Counts;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

#[derive(clap::Args)]
pub struct Arguments {
    /// Also list the functions that are longer than this
    #[arg(long, value_name = "LINES")]
    longer: Option<usize>,
    /// Also list the files that are longer than this
    #[arg(long, value_name = "LINES")]
    files: Option<usize>,
}

/// One room with what its files hold.
struct Room {
    name: String,
    files: Vec<(PathBuf, Counts)>,
}

pub fn run(arguments: &Arguments) -> Result<ExitCode> {
    let root = root()?;
    let rooms = rooms(&root)?;
    println!("{:<10} {:>6} {:>7} {:>6} {:>9} {:>7} {:>8}", "room", "files", "lines", "tests", "functions", "median", "longest");
    rooms.iter().for_each(|room| println!("{}", row(&room.name, &room.files.iter().map(|(_, counts)| counts).collect::<Vec<_>>())));
    let all: Vec<&Counts> = rooms.iter().flat_map(|room| &room.files).map(|(_, counts)| counts).collect();
    println!("{}", row("all", &all));
    list(&rooms, &root, arguments);
    Ok(ExitCode::SUCCESS)
}

/// The folder of the workspace, from that of this crate.
fn root() -> Result<PathBuf> {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    Ok(own.parent().context("this crate is not in a workspace")?.to_path_buf())
}

fn row(name: &str, counts: &[&Counts]) -> String {
    let sum = |of: fn(&Counts) -> usize| counts.iter().map(|counts| of(counts)).sum::<usize>();
    let mut lengths: Vec<usize> = counts.iter().flat_map(|counts| counts.functions.iter().map(|function| function.lines)).collect();
    lengths.sort();
    let (median, longest) = (lengths.get(lengths.len() / 2).copied().unwrap_or(0), lengths.last().copied().unwrap_or(0));
    let (files, lines, tests) = (counts.len(), sum(|counts| counts.lines), sum(|counts| counts.test_lines));
    format!("{name:<10} {files:>6} {lines:>7} {tests:>6} {:>9} {median:>7} {longest:>8}", lengths.len())
}

fn list(rooms: &[Room], root: &Path, arguments: &Arguments) {
    for (path, counts) in rooms.iter().flat_map(|room| &room.files) {
        let path = path.strip_prefix(root).unwrap_or(path).display();
        if arguments.files.is_some_and(|most| counts.lines > most) {
            println!("{path}: {} lines", counts.lines);
        }
        for function in counts.functions.iter().filter(|function| arguments.longer.is_some_and(|most| function.lines > most)) {
            println!("{path}:{}: {} has {} lines", function.start, function.name, function.lines);
        }
    }
}

/// The crates of the workspace, by name; this one last.
fn rooms(root: &Path) -> Result<Vec<Room>> {
    let mut folders: Vec<PathBuf> = entries(&root.join("crates"))?;
    folders.push(root.join("xtask"));
    folders.iter().filter(|folder| folder.join("Cargo.toml").exists()).map(|folder| room(folder)).collect()
}

fn room(folder: &Path) -> Result<Room> {
    let mut paths = Vec::new();
    rust_files(folder, &mut paths)?;
    let mut files = Vec::new();
    for path in paths {
        let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        let part = path.strip_prefix(folder).unwrap_or(&path).iter().next().unwrap_or_default();
        let counts = if part == "src" { count::count(&text) } else { count::count_tests(&text) };
        files.push((path.clone(), counts.with_context(|| path.display().to_string())?));
    }
    let tests = count::test_modules(&files.iter().map(|(path, counts)| (path.as_path(), counts)).collect::<Vec<_>>());
    files.iter_mut().filter(|(path, _)| tests.contains(path)).for_each(|(_, counts)| *counts = counts.clone().into_tests());
    let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
    Ok(Room { name, files })
}

/// The Rust files below a folder, in order.
fn rust_files(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    for path in entries(folder)? {
        if path.is_dir() {
            rust_files(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    Ok(())
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).with_context(|| folder.display().to_string())?;
    let mut paths = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<PathBuf>>>()?;
    paths.sort();
    Ok(paths)
}
