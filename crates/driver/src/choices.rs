//! Which kernel serves which group: its own, or one that takes sizes as parameters and serves several.

use crate::launches::PlannedLaunch;
use crate::options::Options;
use crate::parallel;
use kernel::lower::general::general;
use kernel::schedule::{self, Schedule};
use program::{PhysicalGroup, Program};
use std::collections::{HashMap, HashSet};
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

/// A choice for each distinct group of the launches. Groups share a kernel where at least two of them differ in sizes alone and the
/// schedules that each would have for itself agree; those of loops that mention the counter keep their own.
pub fn choices(program: &Program, launches: &[&PlannedLaunch], options: &Options) -> HashMap<PhysicalGroup, Choice> {
    let mut seen = HashSet::new();
    let groups: Vec<&PhysicalGroup> = launches.iter().map(|launch| &launch.group).filter(|group| seen.insert(*group)).collect();
    let pairs = parallel::map(&groups, options.threads, |group| {
        let tuned = options.tuned.as_deref().and_then(|tuned| tuned.schedule(group));
        let schedule = tuned.unwrap_or_else(|| schedule::choose(group, &options.target));
        // a loop's counter is no size: what is computed from it may be 0
        let counted = group.sizes().iter().any(|size| !program.symbols.contains_key(size));
        let shared = if options.share_kernels && !counted { shared(group, &schedule) } else { None };
        (choice((*group).clone(), schedule, vec![]), shared)
    });
    let mut users: HashMap<(PhysicalGroup, Schedule), usize> = HashMap::new();
    for shared in pairs.iter().filter_map(|(_, shared)| shared.as_ref()) {
        *users.entry((shared.group.clone(), shared.schedule.clone())).or_default() += 1;
    }
    let several = |shared: &Choice| users.get(&(shared.group.clone(), shared.schedule.clone())).is_some_and(|count| *count > 1);
    groups.into_iter().zip(pairs).map(|(group, (own, shared))| (group.clone(), shared.filter(several).unwrap_or(own))).collect()
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
