//! Reading attributes.

use crate::def::OpError;
use ir::{Attr, Attrs, DType};
use sym::{Expr, Sym};

fn wrong(name: &str, want: &str, attr: Option<&Attr>) -> OpError {
    match attr {
        None => OpError::attribute(format!("attribute `{name}` is missing")),
        Some(got) => OpError::attribute(format!("attribute `{name}`: {want} wanted, got {got:?}")),
    }
}

pub fn int(attrs: &Attrs, name: &str) -> Result<i64, OpError> {
    match attrs.get(name) {
        Some(Attr::Int(value)) => Ok(*value),
        other => Err(wrong(name, "an integer", other)),
    }
}

/// The number of groups of a convolution, at least 1.
pub fn groups(attrs: &Attrs) -> Result<i64, OpError> {
    match int(attrs, "groups")? {
        groups if groups >= 1 => Ok(groups),
        groups => Err(OpError::attribute(format!("attribute `groups` is {groups}"))),
    }
}

pub fn float(attrs: &Attrs, name: &str) -> Result<f64, OpError> {
    match attrs.get(name) {
        Some(Attr::Float(value)) => Ok(*value),
        other => Err(wrong(name, "a float", other)),
    }
}

pub fn text<'a>(attrs: &'a Attrs, name: &str) -> Result<&'a str, OpError> {
    match attrs.get(name) {
        Some(Attr::Text(value)) => Ok(value),
        other => Err(wrong(name, "a text", other)),
    }
}

pub fn ints<'a>(attrs: &'a Attrs, name: &str) -> Result<&'a [i64], OpError> {
    match attrs.get(name) {
        Some(Attr::Ints(values)) => Ok(values),
        other => Err(wrong(name, "integers", other)),
    }
}

pub fn exprs<'a>(attrs: &'a Attrs, name: &str) -> Result<&'a [Expr], OpError> {
    match attrs.get(name) {
        Some(Attr::Exprs(values)) => Ok(values),
        other => Err(wrong(name, "sizes", other)),
    }
}

pub fn dtype(attrs: &Attrs, name: &str) -> Result<DType, OpError> {
    match attrs.get(name) {
        Some(Attr::DType(value)) => Ok(*value),
        other => Err(wrong(name, "an element type", other)),
    }
}

/// A flag: 0 or 1.
pub fn flag(attrs: &Attrs, name: &str) -> Result<bool, OpError> {
    match int(attrs, name)? {
        0 => Ok(false),
        1 => Ok(true),
        other => Err(OpError::attribute(format!("attribute `{name}` is {other}, not 0 or 1"))),
    }
}

/// An integer in `0..limit`.
pub fn axis(attrs: &Attrs, name: &str, limit: usize) -> Result<usize, OpError> {
    let value = int(attrs, name)?;
    usize::try_from(value)
        .ok()
        .filter(|axis| *axis < limit)
        .ok_or_else(|| OpError::attribute(format!("attribute `{name}` is {value}, not in 0..{limit}")))
}

/// Exactly `count` integers, each at least `least`.
pub fn ints_of<'a>(attrs: &'a Attrs, name: &str, count: usize, least: i64) -> Result<&'a [i64], OpError> {
    let values = ints(attrs, name)?;
    match values.iter().find(|value| **value < least) {
        _ if values.len() != count => Err(OpError::attribute(format!("attribute `{name}` has {} entries, not {count}", values.len()))),
        Some(low) => Err(OpError::attribute(format!("attribute `{name}` holds {low}, less than {least}"))),
        None => Ok(values),
    }
}

/// Exactly `count` sizes.
pub fn exprs_of<'a>(attrs: &'a Attrs, name: &str, count: usize) -> Result<&'a [Expr], OpError> {
    let values = exprs(attrs, name)?;
    if values.len() != count {
        return Err(OpError::attribute(format!("attribute `{name}` has {} entries, not {count}", values.len())));
    }
    Ok(values)
}

/// Sizes that have become numbers.
pub fn numbers(attrs: &Attrs, name: &str) -> Result<Vec<i64>, OpError> {
    let number = |expr: &Expr| expr.as_const().ok_or_else(|| OpError::attribute(format!("attribute `{name}`: {expr} is no number")));
    exprs(attrs, name)?.iter().map(number).collect()
}

/// The attributes with their sizes evaluated; None where a symbol is unknown.
pub fn concrete(attrs: &Attrs, value: &dyn Fn(&Sym) -> Option<i64>) -> Option<Attrs> {
    let one = |attr: &Attr| match attr {
        Attr::Exprs(exprs) => {
            let numbers: Option<Vec<Expr>> = exprs.iter().map(|expr| expr.eval(value).map(Expr::from)).collect();
            numbers.map(Attr::Exprs)
        }
        Attr::Int(_) | Attr::Float(_) | Attr::Text(_) | Attr::Ints(_) | Attr::DType(_) => Some(attr.clone()),
    };
    attrs.iter().map(|(name, attr)| Some((*name, one(attr)?))).collect()
}
