//! What choices of schedules and plans take for granted of a machine, beside its caches and vectors: numbers that `cargo xtask fit` finds
//! by measuring. They decide which of several right programs is made, never whether one is right.

use serde::{Deserialize, Serialize};

/// A number of [`Costs`] with the values that it may have.
pub struct Field {
    pub name: &'static str,
    pub least: u32,
    pub most: u32,
    pub of: fn(&Costs) -> u32,
    pub of_mut: fn(&mut Costs) -> &mut u32,
}

macro_rules! costs {
    ($($(#[$doc:meta])* $name:ident: $default:literal in $least:literal..=$most:literal;)*) => {
        /// Whole numbers, each in the unit that it names. A record that has the defaults says nothing of them.
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(default, deny_unknown_fields)]
        pub struct Costs {
            $($(#[$doc])* pub $name: u32,)*
        }

        impl Default for Costs {
            fn default() -> Costs {
                Costs { $($name: $default,)* }
            }
        }

        impl Costs {
            pub const FIELDS: &'static [Field] = &[$(Field {
                name: stringify!($name),
                least: $least,
                most: $most,
                of: |costs| costs.$name,
                of_mut: |costs| &mut costs.$name,
            },)*];
        }
    };
}

costs! {
    /// Multiply-adds of f32 that a core does in a nanosecond: half of what wide vectors reach.
    multiply_adds_per_ns: 70 in 1..=10_000;
    /// Microseconds of a contraction's task where there is work for many tasks.
    contract_task_us: 20 in 1..=1000;
    /// Microseconds of a contraction's task at least, until there are `contract_tasks`.
    contract_least_task_us: 4 in 1..=1000;
    /// Tasks that a contraction is cut into even where they come to less than `contract_task_us`.
    contract_tasks: 8 in 1..=256;
    /// Twelfths of the second cache that all panels of a contraction may fill to be read anew for each block of rows.
    panels_of_l2: 4 in 1..=12;
    /// Twelfths of the second cache that all rows of a contraction may fill to be read anew for each block of panels.
    rows_of_l2: 6 in 1..=12;
    /// Twelfths of the second cache that a block of rows fills where neither panels nor rows fit.
    block_of_l2: 4 in 1..=12;
    /// Vectors of sums that keep the multipliers busy: the cycles of a multiply-add times those that begin in a cycle.
    sums_in_flight: 8 in 1..=64;
    /// What turning a byte's sign takes, in percent of the multiply-add of a vector that it competes with.
    byte_turn: 25 in 0..=1000;
    /// Pages of 4 KiB whose addresses a core's first address cache holds.
    address_pages: 128 in 1..=65_536;
    /// Cycles of a task of the generic template, about.
    rows_task: 10_000 in 100..=10_000_000;
    /// Cycles of tasks of the generic template that are handed out together.
    rows_grain: 40_000 in 100..=10_000_000;
    /// Percent of the cycles of lanes along a stage's own iterators that lanes along one of the group's may take to be chosen.
    rows_outer: 70 in 1..=200;
    /// An access from beyond the first cache, in percent of one to it.
    stream: 200 in 100..=2000;
    /// A read that may lie outside of its operand, in hundredths of a cycle.
    guard: 200 in 0..=5000;
    /// A scalar that all lanes share, in hundredths of a cycle.
    scalar_read: 50 in 1..=1000;
    /// A lane of an access with a stride, in hundredths of a cycle.
    strided_lane: 100 in 1..=2000;
    /// A lane of an access without any order, in hundredths of a cycle.
    gathered_lane: 200 in 1..=2000;
    /// A vector's part in one of the steps that transpose a block of vectors, in hundredths of a cycle.
    turn_step: 100 in 1..=2000;
    /// What a turn of a loop costs by itself, in hundredths of a cycle.
    loop_turn: 200 in 0..=5000;
    /// From one addition to the same sum to the next, in hundredths of a cycle.
    add_latency: 400 in 100..=5000;
    /// From one comparison with the same maximum to the next, in hundredths of a cycle.
    max_latency: 800 in 100..=5000;
    /// How many times as fast minimal filtering must be by its count of instructions to be chosen, in percent.
    filter_gain: 115 in 50..=1000;
    /// A product in many short sums, in percent of one in a long sum.
    short_sums: 125 in 50..=1000;
    /// Bytes that come from memory in the time of one instruction of a core while the other cores stream too, in hundredths.
    streamed_bytes: 400 in 10..=10_000;
}

impl Costs {
    pub fn is_default(&self) -> bool {
        *self == Costs::default()
    }

    /// What is out of its range.
    pub fn fault(&self) -> Option<String> {
        let wrong = Costs::FIELDS.iter().find(|field| !(field.least..=field.most).contains(&(field.of)(self)))?;
        Some(format!("costs.{} is {}, not from {} to {}", wrong.name, (wrong.of)(self), wrong.least, wrong.most))
    }
}

/// `percent` of 1, and hundredths of a cycle.
pub fn hundredths(number: u32) -> f64 {
    f64::from(number) / 100.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_in_range_and_fields_are_their_own() {
        assert_eq!(Costs::default().fault(), None);
        for (at, field) in Costs::FIELDS.iter().enumerate() {
            let mut costs = Costs::default();
            *(field.of_mut)(&mut costs) = field.most;
            let changed = Costs::FIELDS.iter().map(|other| (other.of)(&costs) != (other.of)(&Costs::default()));
            assert_eq!(changed.collect::<Vec<_>>(), (0..Costs::FIELDS.len()).map(|other| other == at).collect::<Vec<_>>());
            *(field.of_mut)(&mut costs) = field.most + 1;
            assert!(costs.fault().is_some_and(|why| why.contains(field.name)));
        }
    }
}
