//! Debug information: which model nodes an instruction came from, where a compiler of a language has a file and a line.
//!
//! A function is a subprogram whose file is what it came from. Inside of it a line [`mark`] gives the instructions that follow a file of
//! their own, up to the next one.

use super::metadata::Metadata;
use std::collections::HashMap;

/// What stands for a file, by function and by step.
pub struct Origins<'a> {
    /// Of what is named nowhere else.
    pub model: &'a str,
    pub producer: &'a str,
    pub functions: HashMap<String, String>,
    pub steps: HashMap<u32, String>,
}

const MARK: &str = "; step ";

/// The line in front of the instructions of a step.
pub fn mark(step: u32) -> String {
    format!("{MARK}{step}\n")
}

/// The functions of a text with debug information.
pub fn annotated(text: &str, origins: &Origins, metadata: &mut Metadata) -> String {
    let mut writer = Writer::new(origins, metadata);
    text.lines().map(|line| writer.line(line)).collect()
}

struct Writer<'a> {
    origins: &'a Origins<'a>,
    metadata: &'a mut Metadata,
    unit: usize,
    subroutine: usize,
    files: HashMap<String, usize>,
    subprogram: usize,
    /// The location of the present instructions.
    location: usize,
}

impl<'a> Writer<'a> {
    fn new(origins: &'a Origins<'a>, metadata: &'a mut Metadata) -> Writer<'a> {
        let file = metadata.add(|_| file_text(origins.model));
        let producer = escaped(origins.producer);
        let unit = metadata.add(|_| {
            format!(
                "distinct !DICompileUnit(language: DW_LANG_C11, file: !{file}, producer: \"{producer}\", isOptimized: true, \
                runtimeVersion: 0, emissionKind: LineTablesOnly)"
            )
        });
        let types = metadata.add(|_| "!{null}".to_string());
        let subroutine = metadata.add(|_| format!("!DISubroutineType(types: !{types})"));
        let flags = ["i32 7, !\"Dwarf Version\", i32 4", "i32 2, !\"Debug Info Version\", i32 3"];
        let flags = flags.map(|flag| metadata.add(|_| format!("!{{{flag}}}")));
        metadata.named("llvm.dbg.cu", &[unit]);
        metadata.named("llvm.module.flags", &flags);
        let files = [(origins.model.to_string(), file)].into();
        Writer { origins, metadata, unit, subroutine, files, subprogram: 0, location: 0 }
    }

    fn line(&mut self, line: &str) -> String {
        if let Some(head) = line.strip_prefix("define ").and_then(|_| line.strip_suffix(" {")) {
            let name = function_name(head);
            self.enter(&name);
            return format!("{head} !dbg !{} {{\n", self.subprogram);
        }
        if let Some(step) = line.strip_prefix(MARK) {
            let origin = step.parse().ok().and_then(|step| self.origins.steps.get(&step)).cloned();
            origin.into_iter().for_each(|origin| self.step(&origin));
            return String::new();
        }
        if line.starts_with("  ") { format!("{line}, !dbg !{}\n", self.location) } else { format!("{line}\n") }
    }

    fn file(&mut self, origin: &str) -> usize {
        if let Some(file) = self.files.get(origin) {
            return *file;
        }
        let file = self.metadata.add(|_| file_text(origin));
        self.files.insert(origin.to_string(), file);
        file
    }

    fn enter(&mut self, name: &str) {
        let origin = self.origins.functions.get(name).map_or(self.origins.model, String::as_str).to_string();
        let (file, unit, subroutine) = (self.file(&origin), self.unit, self.subroutine);
        let name = escaped(name);
        self.subprogram = self.metadata.add(|_| {
            format!(
                "distinct !DISubprogram(name: \"{name}\", scope: !{file}, file: !{file}, line: 1, type: !{subroutine}, scopeLine: 1, \
                spFlags: DISPFlagDefinition | DISPFlagOptimized, unit: !{unit})"
            )
        });
        self.at(self.subprogram);
    }

    fn step(&mut self, origin: &str) {
        let (file, subprogram) = (self.file(origin), self.subprogram);
        let scope = self.metadata.add(|_| format!("!DILexicalBlockFile(scope: !{subprogram}, file: !{file}, discriminator: 0)"));
        self.at(scope);
    }

    fn at(&mut self, scope: usize) {
        self.location = self.metadata.add(|_| format!("!DILocation(line: 1, scope: !{scope})"));
    }
}

fn file_text(name: &str) -> String {
    format!("!DIFile(filename: \"{}\", directory: \"\")", escaped(name))
}

/// As a string of LLVM's text.
fn escaped(text: &str) -> String {
    let plain = |byte: u8| (b' '..=b'~').contains(&byte) && !matches!(byte, b'"' | b'\\');
    text.bytes().map(|byte| if plain(byte) { (byte as char).to_string() } else { format!("\\{byte:02X}") }).collect()
}

/// The name behind the first `@`, without quotes.
fn function_name(head: &str) -> String {
    let behind = head.split_once('@').map_or("", |(_, behind)| behind);
    behind.split('(').next().unwrap_or_default().trim_matches('"').to_string()
}
