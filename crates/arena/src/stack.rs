//! Places as a formula: one that holds at all sizes, and at the sizes of a plan comes to that plan.
//!
//! A plan says of each two buffers that live at once which one lies below the other. Kept at all sizes, that order makes each offset the
//! largest end of the buffers right below. Where sizes grow alike, as most do with one symbol, nothing is lost.

use crate::arena::Arena;
use crate::place::{Effort, Plan};
use sym::Expr;

/// For each buffer those that it stands on: its offset is the largest of their ends, or 0.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stack {
    /// The buffers, each behind those that it stands on.
    pub order: Vec<usize>,
    pub below: Vec<Vec<usize>>,
}

impl Arena {
    /// The order of the plan for tenants of which `size` says the bytes; None where [`Arena::plan`] gives none.
    pub fn stack(&self, size: &dyn Fn(&Expr) -> Option<i64>, effort: Effort) -> Option<Stack> {
        let (plan, bytes) = (self.plan(size, effort)?, self.bytes(size)?);
        let lives = &self.lives().lives;
        let mut order: Vec<usize> = (0..lives.len()).collect();
        order.sort_by_key(|k| (plan.offsets[*k], bytes[*k], *k));
        let mut below = vec![Vec::new(); lives.len()];
        for (at, &k) in order.iter().enumerate() {
            let others = order[..at].iter().rev().filter(|other| lives[**other].overlaps(lives[k]));
            for &other in others {
                // what stands on `other` itself ends above it
                if !below[k].iter().any(|on: &usize| lives[*on].overlaps(lives[other])) {
                    below[k].push(other);
                }
            }
        }
        Some(Stack { order, below })
    }
}

impl Stack {
    /// The offsets and the end of all at these sizes. None where the sum overflows.
    pub fn plan(&self, bytes: &[i64]) -> Option<Plan> {
        let mut plan = Plan { offsets: vec![0; bytes.len()], bytes: 0 };
        for &k in &self.order {
            let ends = self.below[k].iter().map(|other| plan.offsets[*other].checked_add(bytes[*other]));
            plan.offsets[k] = ends.collect::<Option<Vec<_>>>()?.into_iter().max().unwrap_or(0);
            plan.bytes = plan.bytes.max(plan.offsets[k].checked_add(bytes[k])?);
        }
        Some(plan)
    }
}
