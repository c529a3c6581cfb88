//! Text of nests: `parse_nest` reads back what `print_nest` writes.
//!
//! ```text
//! nest {
//!   for i0 in n, i1 in 768                  // parallel iterators
//!   reduce i2 in 384                        // reduction iterators; `scan` for ordered ones
//!   operand a: f32[n, 384]
//!   operand w: f32[384, 768]
//!   v0: f32 = a[i0, i2]
//!   v1: f32 = w[i2, @v7] fill 0.0           // @: the index is a scalar; `#1[..]` reads the second operand whatever its name
//!   v2: f32 = mul v0 v1
//!   v3: f32 = reduce sum v2
//!   v4: f32 = literal 1.5
//!   v5: i64 = index i0*4
//!   v6: f32 = convert v5
//!   write y: f32[n, 768] at [i0, i1] = v3
//!   write x: f32[n, 768] at [4*i0 + i1, 0] only [n - 4*i0 - i1 - 1] = v3   // stores where none of these is negative
//!   write z: f32[8, 768] at [@v7, i1] = sum v3   // indexed by data; `sum`: folded into the element that is there
//!   write u: f32[n, 768] at [i0, i1] finite [v2] = v3   // the nest fails where v2 is not finite
//! }
//! ```

use crate::func::Func;
use crate::nest::{Index, Iter, IterKind, Monoid, Nest, Operand, Read, Scalar, ScalarId, ScalarOp, Write};
use ir::text::{literal_text, name_text, parse_dtype, parse_literal, parse_name, parse_tensor_type};
use std::fmt;
use sym::{ParseError, Parser, Sym};

/// The nest's text, ending in `}` without a newline.
pub fn print_nest(nest: &Nest) -> String {
    let mut lines = vec!["nest {".to_string()];
    for run in nest.iters.chunk_by(|a, b| a.kind == b.kind) {
        let iters: Vec<String> = run.iter().map(|iter| format!("{} in {}", iter.sym, iter.extent)).collect();
        lines.push(format!("  {} {}", keyword(run[0].kind), iters.join(", ")));
    }
    lines.extend(nest.operands.iter().map(|operand| format!("  operand {}: {}", name_text(&operand.name), operand.ty)));
    for (at, scalar) in nest.body.iter().enumerate() {
        lines.push(format!("  v{at}: {} = {}", scalar.dtype, scalar_text(nest, &scalar.op)));
    }
    for write in &nest.writes {
        let combine = write.combine.map_or(String::new(), |combine| format!("{} ", combine.name()));
        let (name, index) = (name_text(&write.name), index_text(&write.index));
        let only: Vec<String> = write.only.iter().map(|e| e.to_string()).collect();
        let only = if only.is_empty() { String::new() } else { format!(" only [{}]", only.join(", ")) };
        let finite: Vec<String> = write.finite.iter().map(|id| format!("{id:?}")).collect();
        let finite = if finite.is_empty() { String::new() } else { format!(" finite [{}]", finite.join(", ")) };
        lines.push(format!("  write {name}: {} at {index}{only}{finite} = {combine}{:?}", write.ty, write.value));
    }
    lines.push("}".to_string());
    lines.join("\n")
}

/// Parses `nest { .. }` at the cursor. Scalars and operands that are mentioned exist; `verify` checks the rest.
pub fn parse_nest(parser: &mut Parser) -> Result<Nest, ParseError> {
    let mut nest = Nest::default();
    parser.expect("nest")?;
    parser.expect("{")?;
    while !parser.accept("}") {
        statement(parser, &mut nest)?;
    }
    Ok(nest)
}

impl fmt::Display for Nest {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(&print_nest(self))
    }
}

impl std::str::FromStr for Nest {
    type Err = ParseError;
    fn from_str(text: &str) -> Result<Nest, ParseError> {
        let mut parser = Parser::new(text);
        let nest = parse_nest(&mut parser)?;
        if parser.at_end() { Ok(nest) } else { parser.error("text after the nest") }
    }
}

fn keyword(kind: IterKind) -> &'static str {
    match kind {
        IterKind::Parallel => "for",
        IterKind::Reduction => "reduce",
        IterKind::Scan => "scan",
    }
}

fn scalar_text(nest: &Nest, op: &ScalarOp) -> String {
    match op {
        ScalarOp::Read(read) => read_text(nest, read),
        ScalarOp::Literal(value) => format!("literal {}", literal_text(*value)),
        ScalarOp::Index(map) => format!("index {map}"),
        ScalarOp::Apply(func, args) => args.iter().fold(func.name().to_string(), |text, arg| format!("{text} {arg:?}")),
        ScalarOp::Convert(arg) => format!("convert {arg:?}"),
        ScalarOp::Bits(arg) => format!("bits {arg:?}"),
        ScalarOp::Reduce(monoid, term) => format!("reduce {} {term:?}", monoid.name()),
    }
}

fn read_text(nest: &Nest, read: &Read) -> String {
    let fill = read.fill.map_or(String::new(), |fill| format!(" fill {}", literal_text(fill)));
    format!("{}{}{fill}", operand_text(nest, read.operand), index_text(&read.index))
}

fn index_text(index: &[Index]) -> String {
    let text = |index: &Index| match index {
        Index::Map(map) => map.to_string(),
        Index::Data(id) => format!("@{id:?}"),
    };
    format!("[{}]", index.iter().map(text).collect::<Vec<_>>().join(", "))
}

/// The operand's name where it is a bare one that only it has.
fn operand_text(nest: &Nest, operand: usize) -> String {
    let numbered = format!("#{operand}");
    nest.operands.get(operand).map_or(numbered.clone(), |found| {
        let unique = nest.operands.iter().filter(|other| other.name == found.name).count() == 1;
        if unique && name_text(&found.name) == found.name { found.name.clone() } else { numbered }
    })
}

fn statement(parser: &mut Parser, nest: &mut Nest) -> Result<(), ParseError> {
    for kind in [IterKind::Parallel, IterKind::Reduction, IterKind::Scan] {
        if parser.accept(keyword(kind)) {
            return iters(parser, kind, nest);
        }
    }
    if parser.accept("operand") {
        let name = parse_name(parser)?;
        parser.expect(":")?;
        nest.operands.push(Operand { name, ty: parse_tensor_type(parser)? });
    } else if parser.accept("write") {
        let write = write(parser, nest)?;
        nest.writes.push(write);
    } else {
        let scalar = scalar(parser, nest)?;
        nest.body.push(scalar);
    }
    Ok(())
}

fn iters(parser: &mut Parser, kind: IterKind, nest: &mut Nest) -> Result<(), ParseError> {
    loop {
        let sym = Sym::new(parser.ident()?);
        parser.expect("in")?;
        nest.iters.push(Iter { sym, extent: parser.expr()?, kind });
        if !parser.accept(",") {
            return Ok(());
        }
    }
}

fn write(parser: &mut Parser, nest: &Nest) -> Result<Write, ParseError> {
    let name = parse_name(parser)?;
    parser.expect(":")?;
    let ty = parse_tensor_type(parser)?;
    parser.expect("at")?;
    let index = index(parser, nest)?;
    let only = if parser.accept("only") { parser.list("[", "]", |p| p.expr())? } else { vec![] };
    let finite = if parser.accept("finite") { parser.list("[", "]", |p| scalar_id(p, nest))? } else { vec![] };
    parser.expect("=")?;
    let combine = Monoid::ALL.into_iter().find(|monoid| parser.accept(monoid.name()));
    Ok(Write { name, ty, index, only, combine, finite, value: scalar_id(parser, nest)? })
}

fn scalar(parser: &mut Parser, nest: &Nest) -> Result<Scalar, ParseError> {
    let (name, next) = (parser.ident()?, format!("v{}", nest.body.len()));
    if name != next {
        return parser.error(format!("expected a statement or the scalar `{next}`, found `{name}`"));
    }
    parser.expect(":")?;
    let dtype = parse_dtype(parser)?;
    parser.expect("=")?;
    Ok(Scalar { op: scalar_op(parser, nest)?, dtype })
}

fn scalar_op(parser: &mut Parser, nest: &Nest) -> Result<ScalarOp, ParseError> {
    if parser.accept("#") {
        let number = parser.integer()?;
        return match usize::try_from(number).ok().filter(|number| *number < nest.operands.len()) {
            Some(operand) => read(parser, nest, operand),
            None => parser.error(format!("there is no operand #{number}")),
        };
    }
    let name = parser.ident()?;
    if parser.peek("[") {
        return match nest.operands.iter().position(|operand| operand.name == name) {
            Some(operand) => read(parser, nest, operand),
            None => parser.error(format!("there is no operand `{name}`")),
        };
    }
    match name {
        "literal" => Ok(ScalarOp::Literal(parse_literal(parser)?)),
        "index" => Ok(ScalarOp::Index(parser.expr()?)),
        "convert" => Ok(ScalarOp::Convert(scalar_id(parser, nest)?)),
        "bits" => Ok(ScalarOp::Bits(scalar_id(parser, nest)?)),
        "reduce" => Ok(ScalarOp::Reduce(monoid(parser)?, scalar_id(parser, nest)?)),
        _ => match Func::from_name(name) {
            Some(func) => Ok(ScalarOp::Apply(func, (0..func.arity()).map(|_| scalar_id(parser, nest)).collect::<Result<_, _>>()?)),
            None => parser.error(format!("`{name}` is no scalar function")),
        },
    }
}

fn read(parser: &mut Parser, nest: &Nest, operand: usize) -> Result<ScalarOp, ParseError> {
    let index = index(parser, nest)?;
    let fill = if parser.accept("fill") { Some(parse_literal(parser)?) } else { None };
    Ok(ScalarOp::Read(Read { operand, index, fill }))
}

fn index(parser: &mut Parser, nest: &Nest) -> Result<Vec<Index>, ParseError> {
    parser.list(
        "[",
        "]",
        |parser| {
            if parser.accept("@") { Ok(Index::Data(scalar_id(parser, nest)?)) } else { Ok(Index::Map(parser.expr()?)) }
        },
    )
}

fn monoid(parser: &mut Parser) -> Result<Monoid, ParseError> {
    let name = parser.ident()?;
    match Monoid::ALL.into_iter().find(|monoid| monoid.name() == name) {
        Some(monoid) => Ok(monoid),
        None => parser.error(format!("`{name}` is no reduction")),
    }
}

/// A scalar above the present one.
fn scalar_id(parser: &mut Parser, nest: &Nest) -> Result<ScalarId, ParseError> {
    let name = parser.ident()?;
    let number = name.strip_prefix('v').and_then(|number| number.parse::<u32>().ok());
    match number.filter(|number| (*number as usize) < nest.body.len()) {
        Some(number) => Ok(ScalarId(number)),
        None => parser.error(format!("`{name}` is no scalar above this line")),
    }
}

#[cfg(test)]
mod tests;
