use super::*;
use crate::testing::{check, counted, graph, graph_of, ty};
use ir::{DType, Diagnostic};
use nest::{Func, Monoid};
use ops::{Builder, Folded};

/// What `y` of an operand x becomes.
fn rule(from: &str, want: &str, build: impl FnOnce(&mut Builder, ValueId) -> Result<ValueId, Diagnostic>) {
    let before = graph_of(|b| {
        let x = b.input("x", ty(from));
        build(b, x)
    });
    check(transpose, &before, &format!("y = {want}"));
}

#[test]
fn pairs_cancel_or_merge() {
    rule("f32[n, 2, 3]", "exp(x)", |b, x| {
        let t = b.transpose(x, &[2, 0, 1])?;
        let exp = b.map(Func::Exp, &[t])?;
        b.transpose(exp, &[1, 2, 0])
    });
    rule("f32[n, 2, 3]", "transpose<[1, 0, 2]>(x)", |b, x| {
        let t = b.transpose(x, &[2, 0, 1])?;
        b.transpose(t, &[2, 1, 0])
    });
}

#[test]
fn contractions_take_orders_into_their_letters() {
    let before = graph_of(|b| {
        let (q, k) = (b.input("q", ty("f32[m, 2, 4]")), b.input("k", ty("f32[n, 2, 4]")));
        let q = b.transpose(q, &[1, 0, 2])?;
        let k = b.transpose(k, &[1, 2, 0])?;
        let k = b.map_number(Func::Mul, k, 0.5)?;
        let out = b.contract("hmd,hdn->hmn", q, k)?;
        b.transpose(out, &[1, 0, 2])
    });
    check(transpose, &before, "y = contract<mhd,nhd->mhn>(q, mul(k, broadcast<[n, 2, 4]>(0.5)))");
}

#[test]
fn a_contraction_that_others_read_stays() {
    let before = graph(|b| {
        let x = b.input("x", ty("f32[n, 4]"));
        let out = b.contract("ak,bk->ab", x, x)?;
        let turned = b.transpose(out, &[1, 0])?;
        b.output("out", out);
        b.output("turned", turned);
        Ok(())
    });
    assert_eq!(transpose(&before), before);
}

#[test]
fn operands_turned_alike() {
    rule("f32[n, 2, 3]", "add(exp(x), x)", |b, x| {
        let t = b.transpose(x, &[0, 2, 1])?;
        let exp = b.map(Func::Exp, &[t])?;
        let sum = b.map(Func::Add, &[exp, t])?;
        b.transpose(sum, &[0, 2, 1])
    });
}

#[test]
fn other_operands_that_are_turned_for_free() {
    let back = |b: &mut Builder, x: ValueId, other: ValueId| {
        let t = b.transpose(x, &[0, 2, 1])?;
        let sum = b.map_broadcast(Func::Add, &[t, other])?;
        b.transpose(sum, &[0, 2, 1])
    };
    // by row, as a constant, and not at all
    let row = graph_of(|b| {
        let (x, row) = (b.input("x", ty("f32[n, 2, 3]")), b.input("row", ty("f32[2]")));
        back(b, x, row)
    });
    check(transpose, &row, "y = add(x, broadcast<[n, 2, 3]>(reshape<[2, 1]>(row)))");
    let constant = graph_of(|b| {
        let x = b.input("x", ty("f32[n, 2, 3]"));
        let table = counted(b, DType::F32, &[3, 2]);
        back(b, x, table)
    });
    check(transpose, &constant, "y = add(x, broadcast<[n, 2, 3]>(transpose<[0, 2, 1]>(reshape<[1, 3, 2]>(constant))))");
    let table = graph_of(|b| {
        let (x, table) = (b.input("x", ty("f32[n, 2, 3]")), b.input("table", ty("f32[3, 2]")));
        back(b, x, table)
    });
    assert_eq!(transpose(&table), table);
}

#[test]
fn ops_that_name_axes() {
    rule("f64[n, 2, 3]", "softmax<2>(x)", |b, x| {
        let t = b.transpose(x, &[2, 0, 1])?;
        let out = b.softmax(t, 0)?;
        b.transpose(out, &[1, 2, 0])
    });
    rule("f32[n, 2, 3]", "reduce<[2] 0 sum>(x)", |b, x| {
        let t = b.transpose(x, &[2, 1, 0])?;
        let out = b.reduce(Monoid::Sum, t, &[0], Folded::Dropped)?;
        b.transpose(out, &[1, 0])
    });
    rule("f32[n, 2, 3]", "reduce<[0, 2] 1 max>(x)", |b, x| {
        let t = b.transpose(x, &[2, 1, 0])?;
        let out = b.reduce(Monoid::Max, t, &[0, 2], Folded::Kept)?;
        b.transpose(out, &[2, 1, 0])
    });
    rule("f32[n, 6]", "slice<[n, 2] [0, 1] [1, 2]>(x)", |b, x| {
        let t = b.transpose(x, &[1, 0])?;
        let dims = ty("f32[2, n]").dims;
        let out = b.slice(t, &[1.into(), 0.into()], &dims, &[2, 1])?;
        b.transpose(out, &[1, 0])
    });
    rule("f32[n, 6]", "pad<[0, 2] [0, 1]>(x, 0.0)", |b, x| {
        let (t, zero) = (b.transpose(x, &[1, 0])?, b.number(DType::F32, 0.0));
        let out = b.pad(t, zero, &[1.into(), 0.into()], &[2.into(), 0.into()])?;
        b.transpose(out, &[1, 0])
    });
    rule("f32[n, 6]", "concat<1>(x, exp(x))", |b, x| {
        let t = b.transpose(x, &[1, 0])?;
        let exp = b.map(Func::Exp, &[t])?;
        let out = b.concat(&[t, exp], 0)?;
        b.transpose(out, &[1, 0])
    });
    rule("f32[n, 2]", "broadcast<[5, n, 2]>(x)", |b, x| {
        let t = b.transpose(x, &[1, 0])?;
        let out = b.broadcast(t, &ty("f32[5, 2, n]").dims)?;
        b.transpose(out, &[0, 2, 1])
    });
}

#[test]
fn heads_split_behind_their_order() {
    rule("f32[b, s, 12]", "reshape<[b, s, 2, 3, 2]>(reshape<[b, s, 6, 2]>(x))", |b, x| {
        let heads = b.reshape(x, &ty("f32[b, s, 6, 2]").dims)?;
        let heads = b.transpose(heads, &[0, 2, 1, 3])?;
        let groups = b.reshape(heads, &ty("f32[b, 2, 3, s, 2]").dims)?;
        b.transpose(groups, &[0, 3, 1, 2, 4])
    });
}

#[test]
fn orders_of_ones_are_reshapes() {
    rule("f32[n, 1, 4]", "reshape<[n, 4, 1]>(x)", |b, x| b.transpose(x, &[0, 2, 1]));
}

/// Two readers would each undo the order: it is better undone once.
#[test]
fn where_nothing_is_won_it_stays() {
    let before = graph(|b| {
        let x = b.input("x", ty("f32[n, 4]"));
        let t = b.transpose(x, &[1, 0])?;
        for func in [Func::Exp, Func::Neg] {
            let y = b.map(func, &[t])?;
            b.output(func.name(), y);
        }
        Ok(())
    });
    assert_eq!(transpose(&before), before);
}

#[test]
fn names_and_locations_stay() {
    let before = graph_of(|b| {
        let x = b.input("x", ty("f32[n, 2, 3]"));
        b.location = ir::Location::of("/contract");
        let out = b.contract("nab,ncb->nac", x, x)?;
        b.location = ir::Location::of("/transpose");
        b.transpose(out, &[0, 2, 1])
    });
    let after = transpose(&before);
    assert_eq!(*after.value(after.outputs[0].1).name, *"transpose");
    assert_eq!(after.nodes[0].location.to_string(), "/contract + /transpose");
}
