//! Which kernel serves which group: its own, or one that takes sizes as parameters and serves several.

use crate::code::Lookup;
use crate::options::Options;
use crate::parallel;
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

/// A choice for each group. Groups share a kernel where at least two of them differ in sizes alone and the schedules that each would have
/// for itself agree; those of loops that mention the counter keep their own.
pub fn choices(program: &Program, groups: &[PhysicalGroup], options: &Options, lookup: &Lookup) -> Vec<Choice> {
    let schedules = match options.tuned.as_deref() {
        None => defaults(groups, options, lookup),
        Some(tuned) => parallel::map(groups, options.threads, |group| {
            tuned.schedule(group).unwrap_or_else(|| schedule::choose(group, &options.target))
        }),
    };
    let scheduled: Vec<(&PhysicalGroup, &Schedule)> = groups.iter().zip(&schedules).collect();
    let all_shared = parallel::map(&scheduled, options.threads, |(group, schedule)| {
        // a loop's counter is no size: what is computed from it may be 0
        let counted = group.sizes().iter().any(|size| !program.symbols.contains_key(size));
        if options.share_kernels && !counted { shared(group, schedule) } else { None }
    });
    let mut users: HashMap<(&PhysicalGroup, &Schedule), usize> = HashMap::new();
    for shared in all_shared.iter().flatten() {
        *users.entry((&shared.group, &shared.schedule)).or_default() += 1;
    }
    let several = |shared: &&Choice| users.get(&(&shared.group, &shared.schedule)).is_some_and(|count| *count > 1);
    let chosen = |(shared, (group, schedule)): (&Option<Choice>, &(&PhysicalGroup, &Schedule))| {
        let own = || choice(PhysicalGroup::clone(group), Schedule::clone(schedule), vec![]);
        shared.as_ref().filter(several).cloned().unwrap_or_else(own)
    };
    all_shared.iter().zip(&scheduled).map(chosen).collect()
}

/// The default schedules: those that the store has for just these groups, else chosen and put there.
fn defaults(groups: &[PhysicalGroup], options: &Options, lookup: &Lookup) -> Vec<Schedule> {
    let choose = || parallel::map(groups, options.threads, |group| schedule::choose(group, &options.target));
    let Some(key) = lookup.schedules_key(groups, options.threads) else { return choose() };
    lookup.schedules(&key).filter(|schedules| schedules.len() == groups.len()).unwrap_or_else(|| {
        let schedules = choose();
        lookup.keep_schedules(&key, &schedules);
        schedules
    })
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
