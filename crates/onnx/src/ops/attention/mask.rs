//! Which keys a query sees, and what is added to their scores.

use crate::import::Call;
use ::ops::Folded;
use ir::{Code, DType, Diagnostic, ValueId};
use nest::Func;
use nest::Monoid;
use sym::Expr;

type Result<T> = std::result::Result<T, Diagnostic>;

/// Tensors of rank 4 that broadcast to the scores.
#[derive(Default)]
pub struct Mask {
    /// Bools.
    allowed: Option<ValueId>,
    added: Option<ValueId>,
    /// Whether a query may see no key at all.
    may_bar_all: bool,
}

/// A mask as one tensor.
#[derive(Clone, Copy)]
pub struct Bias {
    pub added: ValueId,
    /// Whether a query sees no key at all; None where all see one.
    pub barred: Option<ValueId>,
}

impl Mask {
    /// A tensor of a model: bools allow, numbers are added.
    pub fn given(&mut self, call: &mut Call, mask: ValueId) -> Result<()> {
        let ty = call.b().ty(mask).clone();
        let Some(missing) = 4usize.checked_sub(ty.rank()) else {
            return Err(call.error(Code::Shape, format!("the mask is {ty}, of rank more than 4")));
        };
        let mask = call.b().unsqueeze(mask, &(0..missing).collect::<Vec<usize>>())?;
        if ty.dtype == DType::Bool {
            return self.allow(call, mask, true);
        }
        self.may_bar_all = true;
        self.added = Some(match self.added {
            Some(added) => call.b().map_broadcast(Func::Add, &[added, mask])?,
            None => mask,
        });
        Ok(())
    }

    /// Only where the bools hold; `may_bar_all` says whether a query may then see no key.
    pub fn allow(&mut self, call: &mut Call, allowed: ValueId, may_bar_all: bool) -> Result<()> {
        self.may_bar_all |= may_bar_all;
        self.allowed = Some(match self.allowed {
            Some(other) => call.b().map_broadcast(Func::And, &[other, allowed])?,
            None => allowed,
        });
        Ok(())
    }

    /// What is added to scores of a type: minus infinity where a query does not see a key.
    pub fn bias(&self, call: &mut Call, dtype: DType) -> Result<Option<Bias>> {
        let b = call.b();
        let barring = match self.allowed {
            Some(allowed) => {
                let [zero, far] = [0.0, f64::NEG_INFINITY].map(|number| b.number(dtype, number));
                Some(b.map_broadcast(Func::Select, &[allowed, zero, far])?)
            }
            None => None,
        };
        let added = self.added.map(|added| b.convert(added, dtype)).transpose()?;
        let added = match (barring, added) {
            (Some(barring), Some(added)) => b.map_broadcast(Func::Add, &[added, barring])?,
            (Some(one), None) | (None, Some(one)) => one,
            (None, None) => return Ok(None),
        };
        let barred = match self.may_bar_all {
            true => {
                let most = b.reduce(Monoid::Max, added, &[3], Folded::Kept)?;
                Some(b.map_number(Func::Equal, most, f64::NEG_INFINITY)?)
            }
            false => None,
        };
        Ok(Some(Bias { added, barred }))
    }
}

/// Where queries and keys stand in one sequence.
pub struct Places {
    query: ValueId,
    key: ValueId,
}

impl Places {
    /// `first` is the place of the first query: a scalar, or one for each batch entry as `[B, 1, 1, 1]`.
    pub fn of(call: &mut Call, first: ValueId, queries: &Expr, keys: &Expr) -> Result<Places> {
        let dims = [Expr::one(), Expr::one(), queries.clone(), keys.clone()];
        let b = call.b();
        let row = b.iota(&dims, 2, DType::I64)?;
        Ok(Places { query: b.map_broadcast(Func::Add, &[row, first])?, key: b.iota(&dims, 3, DType::I64)? })
    }

    pub fn no_later_key(&self, call: &mut Call) -> Result<ValueId> {
        call.b().map_broadcast(Func::LessEqual, &[self.key, self.query])
    }

    /// At most so many places before the query, and behind it.
    pub fn within(&self, call: &mut Call, left: Option<i64>, right: Option<i64>) -> Result<Vec<ValueId>> {
        let mut allowed = Vec::new();
        for (most, ends) in [(left, [self.query, self.key]), (right, [self.key, self.query])] {
            if let Some(most) = most {
                let b = call.b();
                let distance = b.map_broadcast(Func::Sub, &ends)?;
                let most = b.scalar(DType::I64, ir::Literal::Int(most));
                allowed.push(b.map_broadcast(Func::LessEqual, &[distance, most])?);
            }
        }
        Ok(allowed)
    }
}
