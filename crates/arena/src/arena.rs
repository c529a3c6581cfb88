//! Buffers whose sizes are expressions.

use crate::life::{Life, Lives};
use crate::place::{Effort, Plan};
use std::collections::HashMap;
use sym::Expr;

/// What is to be placed.
#[derive(Clone, Debug)]
pub struct Tenant {
    pub bytes: Expr,
    pub life: Life,
}

/// Tenants, made ready for plans at one assignment of sizes after the other.
#[derive(Clone, Debug, Default)]
pub struct Arena {
    /// The sizes, each once.
    sizes: Vec<Expr>,
    /// Each tenant's place in `sizes`.
    size_of: Vec<usize>,
    lives: Lives,
}

impl Arena {
    pub fn new(tenants: &[Tenant]) -> Arena {
        let (mut sizes, mut known) = (Vec::new(), HashMap::new());
        let size_of = tenants.iter().map(|tenant| {
            *known.entry(&tenant.bytes).or_insert_with(|| {
                sizes.push(tenant.bytes.clone());
                sizes.len() - 1
            })
        });
        let size_of = size_of.collect();
        Arena { sizes, size_of, lives: Lives::new(tenants.iter().map(|tenant| tenant.life).collect()) }
    }

    /// One block of bytes.
    pub fn block(bytes: Expr) -> Arena {
        Arena::new(&[Tenant { bytes, life: Life { first: 0, last: 0 } }])
    }

    /// The number of tenants.
    pub fn len(&self) -> usize {
        self.size_of.len()
    }

    pub fn is_empty(&self) -> bool {
        self.size_of.is_empty()
    }

    /// The places for tenants of which `size` says the bytes: always the same for the same. None where it says nothing or a negative
    /// number, or where the sum overflows.
    pub fn plan(&self, size: &dyn Fn(&Expr) -> Option<i64>, effort: Effort) -> Option<Plan> {
        self.lives.plan(&self.bytes(size)?, effort)
    }

    pub(crate) fn lives(&self) -> &Lives {
        &self.lives
    }

    /// The bytes of each tenant, as an expression.
    pub fn expressions(&self) -> impl Iterator<Item = &Expr> {
        self.size_of.iter().map(|at| &self.sizes[*at])
    }

    /// The bytes of each tenant.
    pub(crate) fn bytes(&self, size: &dyn Fn(&Expr) -> Option<i64>) -> Option<Vec<i64>> {
        let sizes: Vec<i64> = self.sizes.iter().map(size).collect::<Option<_>>()?;
        Some(self.size_of.iter().map(|at| sizes[*at]).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use sym::Sym;

    fn any_tenants() -> impl Strategy<Value = Vec<Tenant>> {
        let sizes =
            prop::sample::select(vec!["64", "4096", "64*n", "192*n", "64*m", "64*n*m", "64*((n + 3)/4)", "64*((3*n*m + 63)/64)", "0"]);
        let tenant = |(bytes, first, length): (&str, usize, usize)| Tenant {
            bytes: bytes.parse().unwrap(),
            life: Life { first, last: first + length },
        };
        prop::collection::vec((sizes, 0..6usize, 0..4usize).prop_map(tenant), 1..14)
    }

    fn check(tenants: &[Tenant], bytes: &[i64], plan: &Plan) -> Result<(), TestCaseError> {
        let span = |k: usize| (plan.offsets[k], plan.offsets[k] + bytes[k]);
        for k in 0..tenants.len() {
            let (start, end) = span(k);
            prop_assert!(start >= 0 && start % 64 == 0 && end <= plan.bytes);
            for other in (0..k).filter(|other| tenants[*other].life.overlaps(tenants[k].life)) {
                prop_assert!(end <= span(other).0 || span(other).1 <= start, "{k} and {other} overlap: {plan:?}");
            }
        }
        Ok(())
    }

    proptest! {
        #[test]
        fn plans_hold_at_all_sizes(tenants in any_tenants(), n in 0..200i64, m in 0..200i64) {
            let value = |sym: &Sym| Some(if sym.name() == "n" { n } else { m });
            let arena = Arena::new(&tenants);
            let plan = arena.plan(&|size: &Expr| size.eval(&value), Effort::CALL).unwrap();
            let bytes: Vec<i64> = tenants.iter().map(|tenant| tenant.bytes.eval(&value).unwrap()).collect();
            check(&tenants, &bytes, &plan)?;
            let usual = arena.stack(&|size: &Expr| size.eval(&|_| Some(16)), Effort::CALL).unwrap();
            check(&tenants, &bytes, &usual.plan(&bytes).unwrap())?;
            let own = arena.stack(&|size: &Expr| size.eval(&value), Effort::CALL).unwrap();
            prop_assert!(own.plan(&bytes).unwrap().bytes <= plan.bytes);
        }
    }
}
