//! The choices that turn a group of nests into one kernel, as data with a text form.

use crate::lower::StageCx;
use crate::lower::contract_match::{self, Matched};
use crate::lower::contract_schedule::{self, ContractSchedule};
use crate::lower::rows_choice::rows_schedule;
use crate::lower::rows_schedule::RowsSchedule;
use program::PhysicalGroup;
use std::fmt;
use sym::{ParseError, Parser};
use target::Target;

/// Which template serves a group, with its choices.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Schedule {
    /// Serves every group.
    Rows(RowsSchedule),
    /// Serves a group of one contraction.
    Contract(ContractSchedule),
}

/// The default schedule of a group: the contraction template's where that serves it.
pub fn choose(group: &PhysicalGroup, target: &Target) -> Schedule {
    let contract = serves_contraction(group).and_then(|(cx, matched)| contract_schedule::choose(&cx, &matched, target));
    contract.map_or_else(|| Schedule::Rows(rows_schedule(group, target)), Schedule::Contract)
}

/// The contraction that is all of a group, if the contraction template knows its form.
pub fn serves_contraction(group: &PhysicalGroup) -> Option<(StageCx<'_>, Matched)> {
    let [stage] = group.stages.as_slice() else { return None };
    Some((StageCx::new(stage, &[], 0), contract_match::matched(&stage.nest)?))
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Schedule::Rows(rows) => write!(f, "{rows}"),
            Schedule::Contract(contract) => write!(f, "{contract}"),
        }
    }
}

impl std::str::FromStr for Schedule {
    type Err = ParseError;
    fn from_str(text: &str) -> Result<Schedule, ParseError> {
        let mut parser = Parser::new(text);
        let schedule = if parser.peek("rows") {
            Schedule::Rows(RowsSchedule::parse(&mut parser)?)
        } else {
            Schedule::Contract(ContractSchedule::parse(&mut parser)?)
        };
        if parser.at_end() { Ok(schedule) } else { parser.error("text after the schedule") }
    }
}

impl Schedule {
    /// How many tasks are worth handing out together.
    pub fn grain(&self) -> i64 {
        match self {
            Schedule::Rows(rows) => rows.grain,
            Schedule::Contract(_) => 1,
        }
    }

    /// The part that decides the code: how many tasks are handed out together is the caller's to know.
    pub fn without_grain(&self) -> Schedule {
        match self {
            Schedule::Rows(rows) => Schedule::Rows(RowsSchedule { grain: 1, ..rows.clone() }),
            Schedule::Contract(_) => self.clone(),
        }
    }

    /// What forbids the schedule for a group; empty where it is legal.
    pub fn faults(&self, group: &PhysicalGroup) -> Vec<String> {
        match self {
            Schedule::Rows(rows) => rows.faults(group),
            Schedule::Contract(schedule) => {
                let Some((cx, matched)) = serves_contraction(group) else {
                    return vec!["the group is no contraction that the template serves".to_string()];
                };
                schedule.faults(&cx, &matched)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_round_trips() {
        for text in [
            "rows outer [i0, i1] piece i2:4096 grain 3 {vector i2:16 unroll 4 tile i1:7; scalar unroll 1}",
            "rows outer [] grain 1 {scalar unroll 1}",
            "rows outer [] grain 1 {vector i0:8 unroll 2}",
            "rows outer [o0] block o0:14 grain 1 {tiles panel 32 x 16 rows 14; scalar unroll 1}",
        ] {
            let schedule: Schedule = text.parse().unwrap_or_else(|why| panic!("{text}: {why}"));
            assert_eq!(schedule.to_string(), text);
        }
        for text in [
            "rows outer [] grain 0 {}",
            "rows outer [] grain 5000000000 {scalar unroll 1}",
            "contract panel 32 x 16 tile 1 x 1000 block 1000 x 1 inner m",
            "contract panel 32 x 16 tile 1 x 14 block 99999999999999 x 1 inner m",
            "contract panel 0 x 0 tile 1 x 14 block 14 x 1 inner m",
        ] {
            assert!(text.parse::<Schedule>().is_err(), "{text}");
        }
    }
}
