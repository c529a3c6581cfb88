//! Several versions of a model behind one name: symbols that the loader resolves by asking the processor, once.

use super::facade::FUNCTIONS;
use super::text::global;
use kernel::facade::Dispatch;

/// The functions of the versions' common name; each is bound to the last version that fits, else to the first, whose `init` then fails.
pub fn dispatch_text(dispatch: &Dispatch) -> String {
    let of = |version: &str, name: &str| global(&format!("{version}_{name}"));
    let mut text = String::new();
    for version in &dispatch.versions {
        text.push_str(&format!("declare hidden i32 {}()\n", of(version, "fits")));
    }
    for (result, name, parameters) in FUNCTIONS {
        let types: Vec<&str> = parameters.split(", ").filter_map(|parameter| parameter.split(' ').next()).collect();
        let types = types.join(", ");
        let resolver = global(&format!("inkle.{name}"));
        for version in &dispatch.versions {
            text.push_str(&format!("declare hidden {result} {}({types})\n", of(version, name)));
        }
        text.push_str(&format!("{} = ifunc {result} ({types}), ptr {resolver}\n", of(&dispatch.prefix, name)));
        text.push_str(&format!("define internal ptr {resolver}() #1 {{\nentry:\n"));
        let mut chosen = of(&dispatch.versions[0], name);
        for (at, version) in dispatch.versions.iter().enumerate().skip(1) {
            text.push_str(&format!("  %fits.{at} = call i32 {}()\n  %is.{at} = icmp ne i32 %fits.{at}, 0\n", of(version, "fits")));
            text.push_str(&format!("  %best.{at} = select i1 %is.{at}, ptr {}, ptr {chosen}\n", of(version, name)));
            chosen = format!("%best.{at}");
        }
        text.push_str(&format!("  ret ptr {chosen}\n}}\n"));
    }
    text
}
