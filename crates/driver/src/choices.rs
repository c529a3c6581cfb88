//! Which kernel serves which group: its own, or one that takes sizes as parameters and serves several.

use crate::launches::{Planned, groups};
use crate::options::Options;
use kernel::lower::general::{General, general};
use kernel::schedule::{self, Schedule};
use program::PhysicalGroup;
use std::collections::HashMap;
use sym::{Expr, Sym};

/// What is lowered for a group.
#[derive(Clone, Debug)]
pub struct Choice {
    pub group: PhysicalGroup,
    pub schedule: Schedule,
    /// The values of sizes that are parameters; other sizes are the program's.
    pub values: Vec<(Sym, Expr)>,
    /// Tasks that are worth handing out together.
    pub grain: i64,
}

/// A choice for each distinct group of `prepare` and `main`.
///
/// Groups share a kernel where at least two of them differ in sizes alone.
pub fn choices([prepare, main]: [&[Planned]; 2], options: &Options) -> HashMap<PhysicalGroup, Choice> {
    let mut own: HashMap<&PhysicalGroup, (Schedule, Option<General>)> = HashMap::new();
    let mut users: HashMap<(PhysicalGroup, Schedule), usize> = HashMap::new();
    for group in groups(prepare).into_iter().chain(groups(main)) {
        if own.contains_key(group) {
            continue;
        }
        let schedule = schedule::choose(group, &options.target);
        let general = if options.share_kernels { general(group, &schedule.without_grain()) } else { None };
        if let Some(general) = &general {
            *users.entry((general.group.clone(), general.schedule.clone())).or_default() += 1;
        }
        own.insert(group, (schedule, general));
    }
    let shared = |general: &General| users.get(&(general.group.clone(), general.schedule.clone())).is_some_and(|count| *count > 1);
    let choice = |(group, (schedule, general)): (&PhysicalGroup, (Schedule, Option<General>))| {
        let grain = schedule.grain();
        let choice = match general.filter(shared) {
            Some(General { group, schedule, values }) => Choice { group, schedule, values, grain },
            None => Choice { group: group.clone(), schedule: schedule.without_grain(), values: vec![], grain },
        };
        (group.clone(), choice)
    };
    own.into_iter().map(choice).collect()
}
