//! Which kernel serves which group: its own, or one that takes sizes as parameters and serves several.

use crate::launches::{Planned, groups};
use crate::options::Options;
use kernel::lower::general::general;
use kernel::schedule::{self, Schedule};
use program::PhysicalGroup;
use std::collections::HashMap;
use sym::{Expr, Sym};
use target::Target;

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
/// Groups share a kernel where at least two of them differ in sizes alone and are scheduled alike. In `main` each brings the schedule that it
/// would have alone. What `prepare` runs once is scheduled for unknown sizes.
pub fn choices([prepare, main]: [&[Planned]; 2], options: &Options) -> HashMap<PhysicalGroup, Choice> {
    let mut own: HashMap<&PhysicalGroup, (Choice, Option<Choice>)> = HashMap::new();
    let mut users: HashMap<(PhysicalGroup, Schedule), usize> = HashMap::new();
    for (groups, often) in [(groups(main), true), (groups(prepare), false)] {
        for group in groups {
            if own.contains_key(group) {
                continue;
            }
            let schedule = schedule::choose(group, &options.target);
            let shared = if options.share_kernels { shared(group, &schedule, often, &options.target) } else { None };
            if let Some(shared) = &shared {
                *users.entry((shared.group.clone(), shared.schedule.clone())).or_default() += 1;
            }
            own.insert(group, (choice(group.clone(), schedule, vec![]), shared));
        }
    }
    let pays = |shared: &Choice| users.get(&(shared.group.clone(), shared.schedule.clone())).is_some_and(|count| *count > 1);
    own.into_iter().map(|(group, (own, shared))| (group.clone(), shared.filter(pays).unwrap_or(own))).collect()
}

fn shared(group: &PhysicalGroup, own: &Schedule, often: bool, target: &Target) -> Option<Choice> {
    let Schedule::Rows(_) = own else { return None };
    let general = general(group)?;
    let schedule = if often { general.schedule(own)? } else { schedule::choose(&general.group, target) };
    Some(choice(general.group, schedule, general.values))
}

fn choice(group: PhysicalGroup, schedule: Schedule, values: Vec<(Sym, Expr)>) -> Choice {
    Choice { group, grain: schedule.grain(), schedule: schedule.without_grain(), values }
}
