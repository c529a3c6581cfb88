//! Which kernel serves which group: its own, or one that takes sizes as parameters and serves several.

use crate::launches::{Planned, groups};
use crate::options::Options;
use kernel::lower::general::general;
use kernel::schedule::{self, Schedule};
use program::{PhysicalGroup, Program};
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

/// A choice for each distinct group of `prepare` and `main`. Groups share a kernel where at least two of them differ in sizes alone and the
/// schedules that each would have for itself agree; those of loops that mention the counter keep their own.
pub fn choices(program: &Program, [prepare, main]: [&[Planned]; 2], options: &Options) -> HashMap<PhysicalGroup, Choice> {
    let mut own: HashMap<&PhysicalGroup, (Choice, Option<Choice>)> = HashMap::new();
    let mut users: HashMap<(PhysicalGroup, Schedule), usize> = HashMap::new();
    for group in groups(prepare).into_iter().chain(groups(main)) {
        if own.contains_key(group) {
            continue;
        }
        let schedule = schedule::choose(group, &options.target);
        // a loop's counter is no size: what is computed from it may be 0
        let counted = group.sizes().iter().any(|size| !program.symbols.contains_key(size));
        let shared = if options.share_kernels && !counted { shared(group, &schedule) } else { None };
        if let Some(shared) = &shared {
            *users.entry((shared.group.clone(), shared.schedule.clone())).or_default() += 1;
        }
        own.insert(group, (choice(group.clone(), schedule, vec![]), shared));
    }
    let several = |shared: &Choice| users.get(&(shared.group.clone(), shared.schedule.clone())).is_some_and(|count| *count > 1);
    own.into_iter().map(|(group, (own, shared))| (group.clone(), shared.filter(several).unwrap_or(own))).collect()
}

fn shared(group: &PhysicalGroup, own: &Schedule) -> Option<Choice> {
    let Schedule::Rows(_) = own else { return None };
    let general = general(group)?;
    let schedule = general.schedule(own)?;
    Some(choice(general.group, schedule, general.values))
}

fn choice(group: PhysicalGroup, schedule: Schedule, values: Vec<(Sym, Expr)>) -> Choice {
    Choice { group, grain: schedule.grain(), schedule: schedule.without_grain(), values }
}
